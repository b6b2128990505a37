// SPDX-License-Identifier: Apache-2.0
#include "weights/torch_file.hpp"

#include <ATen/ATen.h>
#include <caffe2/serialize/inline_container.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "weights/file_kind.hpp"
#include "weights/mapped_file.hpp"
#include "weights/naming_the_file.hpp"
#include "weights/pickle.hpp"
#include "weights/replace_file.hpp"
#include "weights/stored_zip.hpp"
#include "weights/torch_pickle.hpp"

namespace weights {
namespace {

using Kind = PickleValue::Kind;

// --- zip archives ---

Weights read_zip(const std::shared_ptr<MappedFile>& file) {
  // The directory's end, without a comment. minizip would look for it, and take a part of it.
  constexpr std::size_t end_size = 22;
  TORCH_CHECK(
      file->size() > end_size && file->bytes().substr(file->size() - end_size, 4) == "PK\x05\x06",
      "it does not end as a zip archive does: it is truncated");
  StoredZip zip(file->bytes());
  // All files of the archive are in one folder, of any name.
  constexpr std::string_view pickle_name = "/data.pkl";
  std::string folder;
  for (const auto& entry : zip.names()) {
    const std::string& name = entry.first;
    const std::size_t slash = name.find('/');
    if (slash != std::string::npos && name.compare(slash, std::string::npos, pickle_name) == 0) {
      TORCH_CHECK(folder.empty(), "it has two pickles, ", folder, "data.pkl and ", name);
      folder = name.substr(0, slash + 1);
    }
  }
  TORCH_CHECK(!folder.empty(), "it is a zip archive without data.pkl: not one of torch.save");
  if (zip.has(folder + "byteorder")) {
    TORCH_CHECK(zip.read(folder + "byteorder") == "little", "it was written big-endian");
  }
  const Pickle pickle(zip.read(folder + "data.pkl"), may_stand_in_weights);
  return state_dict_of(pickle.value(), file, [&](const StorageClaim& claim) {
    const auto place = zip.find(folder + "data/" + claim.key);
    return StoragePlace{place.offset, place.size};
  });
}

// --- plain pickles, from before PyTorch 1.6 ---

// A magic number, a version, the writer's sizes, the object, the keys of its storages: five
// pickles. Then each storage in the order of the keys: its length as int64, its numbers.
constexpr std::string_view magic{"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10};
constexpr int64_t version = 1001;

/// What the pickle says about each storage, by key.
std::map<std::string, StorageClaim> claims_of(const std::vector<const PickleValue*>& persistent) {
  std::map<std::string, StorageClaim> claims;
  for (const PickleValue* value : persistent) {
    StorageClaim claim = storage_claim(*value);
    claims.insert_or_assign(claim.key, claim);
  }
  return claims;
}

Weights read_plain(const std::shared_ptr<MappedFile>& file) {
  const std::string_view bytes = file->bytes();
  std::size_t place = 0;
  const auto next = [&] {
    auto pickle = std::make_unique<Pickle>(bytes.substr(place), may_stand_in_weights);
    place += pickle->size();
    return pickle;
  };
  const auto first = next();
  TORCH_CHECK(first->value().is(Kind::Large) && first->value().text == magic,
              "it is a pickle, but none of torch.save");
  const auto second = next();
  TORCH_CHECK(second->value().is(Kind::Integer) && second->value().integer == version,
              "it is of another version of torch.save than ", version);
  const auto about = next();
  const PickleValue* little = about->value().find("little_endian");
  TORCH_CHECK(little == nullptr || little->integer == 1, "it was written big-endian");
  const auto object = next();
  const auto keys = next();
  TORCH_CHECK(keys->value().is(Kind::List), "its list of storages is ",
              keys->value().description());

  const auto claims = claims_of(object->persistent());
  std::map<std::string, StoragePlace> places;
  for (const PickleValue* key : keys->value().items) {
    TORCH_CHECK(key->is(Kind::String), "a storage is called ", key->description());
    const auto claim = claims.find(std::string(key->text));
    TORCH_CHECK(claim != claims.end(), "it lists a storage ", std::string(key->text),
                " that no tensor has");
    int64_t length = 0;
    TORCH_CHECK(bytes.size() - place >= sizeof length, "it is truncated before storage ",
                claim->first);
    std::memcpy(&length, bytes.data() + place, sizeof length);
    place += sizeof length;
    const auto element = static_cast<int64_t>(c10::elementSize(claim->second.dtype));
    int64_t size = 0;
    TORCH_CHECK(length >= 0 && !__builtin_mul_overflow(length, element, &size) &&
                    static_cast<uint64_t>(size) <= bytes.size() - place,
                "storage ", claim->first, " claims ", length, " numbers, and the file ends after ",
                bytes.size() - place, " bytes: it is truncated or damaged");
    places[claim->first] = {place, static_cast<uint64_t>(size)};
    place += static_cast<std::size_t>(size);
  }
  return state_dict_of(object->value(), file, [&places](const StorageClaim& claim) {
    const auto found = places.find(claim.key);
    TORCH_CHECK(found != places.end(), "its storage ", claim.key, " is not in the file");
    return found->second;
  });
}

// --- writing ---

/// The storage class of a dtype, or none for those that came after the classes.
std::string storage_class(at::ScalarType dtype) {
  switch (dtype) {
    case at::kDouble:
      return "DoubleStorage";
    case at::kFloat:
      return "FloatStorage";
    case at::kHalf:
      return "HalfStorage";
    case at::kBFloat16:
      return "BFloat16Storage";
    case at::kLong:
      return "LongStorage";
    case at::kInt:
      return "IntStorage";
    case at::kShort:
      return "ShortStorage";
    case at::kChar:
      return "CharStorage";
    case at::kByte:
      return "ByteStorage";
    case at::kBool:
      return "BoolStorage";
    case at::kComplexDouble:
      return "ComplexDoubleStorage";
    case at::kComplexFloat:
      return "ComplexFloatStorage";
    default:
      return {};
  }
}

/// Writes opcodes of protocol 2, without a memo.
class PickleWriter {
 public:
  PickleWriter() { bytes_ = "\x80\x02"; }

  void raw(std::string_view opcodes) { bytes_ += opcodes; }
  void global(const std::string& module, const std::string& name) {
    bytes_ += "c" + module + "\n" + name + "\n";
  }
  void text(std::string_view text) {
    bytes_ += 'X';
    number(static_cast<uint32_t>(text.size()));
    bytes_ += text;
  }
  void integer(int64_t value) {
    bytes_ += "\x8a\x08";  // LONG1 of eight bytes
    number(value);
  }
  void integers(at::IntArrayRef values) {
    bytes_ += '(';
    for (const int64_t value : values) integer(value);
    bytes_ += 't';
  }
  void empty_ordered_dict() {
    global("collections", "OrderedDict");
    raw(")R");
  }
  const std::string& bytes() const { return bytes_; }

 private:
  template <typename Number>
  void number(Number value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }

  std::string bytes_;
};

void write_tensor(PickleWriter& pickle, const at::Tensor& tensor, const std::string& key) {
  const std::string typed = storage_class(tensor.scalar_type());
  pickle.global("torch._utils", typed.empty() ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2");
  pickle.raw("((");
  pickle.text("storage");
  if (typed.empty()) {
    pickle.global("torch.storage", "UntypedStorage");
  } else {
    pickle.global("torch", typed);
  }
  pickle.text(key);
  pickle.text("cpu");
  pickle.integer(typed.empty() ? tensor.numel() * tensor.element_size() : tensor.numel());
  pickle.raw("tQ");
  pickle.integer(0);
  pickle.integers(tensor.sizes());
  pickle.integers(c10::contiguous_strides(tensor.sizes()));
  pickle.raw("\x89");  // requires_grad
  pickle.empty_ordered_dict();
  if (typed.empty()) pickle.global("torch", torch_dtype_name(tensor.scalar_type()));
  pickle.raw("tR");
}

std::string pickle_of(const Tensors& tensors, const std::string& key) {
  PickleWriter pickle;
  if (!key.empty()) {
    pickle.raw("}");
    pickle.text(key);
  }
  pickle.empty_ordered_dict();
  pickle.raw("(");
  int64_t index = 0;
  for (const auto& [name, tensor] : tensors) {
    pickle.text(name);
    write_tensor(pickle, tensor, std::to_string(index++));
  }
  pickle.raw("u");
  if (!key.empty()) pickle.raw("s");
  pickle.raw(".");
  return pickle.bytes();
}

}  // namespace

Weights read_torch_file(const std::shared_ptr<MappedFile>& file) {
  switch (kind_of(file->bytes())) {
    case FileKind::Zip:
      return read_zip(file);
    case FileKind::Pickle:
      return read_plain(file);
    default:
      C10_THROW_ERROR(Error, c10::str("it is no file of torch.save, neither zip archive nor "
                                      "pickle; it seems to be ",
                                      seems_to_be(file->bytes())));
  }
}

Weights read_torch_file(const std::filesystem::path& path) {
  return naming_the_file(path, [&path] { return read_torch_file(MappedFile::open(path)); });
}

void write_torch_file(const std::filesystem::path& path, const Tensors& tensors,
                      const std::string& key) {
  const std::string pickle = pickle_of(tensors, key);
  replace_file(path, [&](const std::filesystem::path& temporary) {
    caffe2::serialize::PyTorchStreamWriter zip(temporary.string());
    zip.writeRecord("data.pkl", pickle.data(), pickle.size());
    constexpr std::string_view order = "little";
    zip.writeRecord("byteorder", order.data(), order.size());
    int64_t index = 0;
    for (const auto& [name, tensor] : tensors) {
      const at::Tensor plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous();
      zip.writeRecord("data/" + std::to_string(index++), plain.const_data_ptr(), plain.nbytes());
    }
    zip.writeEndOfFile();
  });
}

}  // namespace weights
