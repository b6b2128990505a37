// SPDX-License-Identifier: Apache-2.0
#include "weights/torch_pickle.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace weights {
namespace {

using Kind = PickleValue::Kind;

const std::map<std::string_view, at::ScalarType>& storage_classes() {
  static const std::map<std::string_view, at::ScalarType> classes = {
      {"DoubleStorage", at::kDouble},
      {"FloatStorage", at::kFloat},
      {"HalfStorage", at::kHalf},
      {"BFloat16Storage", at::kBFloat16},
      {"LongStorage", at::kLong},
      {"IntStorage", at::kInt},
      {"ShortStorage", at::kShort},
      {"CharStorage", at::kChar},
      {"ByteStorage", at::kByte},
      {"BoolStorage", at::kBool},
      {"ComplexDoubleStorage", at::kComplexDouble},
      {"ComplexFloatStorage", at::kComplexFloat},
      {"UntypedStorage", at::kByte},
  };
  return classes;
}

const std::map<std::string_view, at::ScalarType>& dtypes() {
  static const std::map<std::string_view, at::ScalarType> all = {
      {"float64", at::kDouble},
      {"float32", at::kFloat},
      {"float16", at::kHalf},
      {"bfloat16", at::kBFloat16},
      {"int64", at::kLong},
      {"int32", at::kInt},
      {"int16", at::kShort},
      {"int8", at::kChar},
      {"uint64", at::kUInt64},
      {"uint32", at::kUInt32},
      {"uint16", at::kUInt16},
      {"uint8", at::kByte},
      {"bool", at::kBool},
      {"complex128", at::kComplexDouble},
      {"complex64", at::kComplexFloat},
      {"float8_e4m3fn", at::kFloat8_e4m3fn},
      {"float8_e5m2", at::kFloat8_e5m2},
      {"float8_e4m3fnuz", at::kFloat8_e4m3fnuz},
      {"float8_e5m2fnuz", at::kFloat8_e5m2fnuz},
      {"float8_e8m0fnu", at::kFloat8_e8m0fnu},
  };
  return all;
}

bool is_storage_class(std::string_view module, std::string_view name) {
  return (module == "torch" || module == "torch.cuda" || module == "torch.storage") &&
         storage_classes().count(name) > 0;
}

bool is_global(const PickleValue* value, std::string_view module, std::string_view name) {
  return value != nullptr && value->is(Kind::Global) && value->module == module &&
         value->text == name;
}

bool is_call(const PickleValue& value, std::string_view module, std::string_view name) {
  return value.is(Kind::Call) && is_global(value.callee, module, name);
}

/// A module of TorchScript, which torch::serialize makes of every archive.
bool is_script_module(const PickleValue& value) {
  return value.is(Kind::Object) && value.callee->module.substr(0, 9) == "__torch__" &&
         value.state != nullptr && value.state->is(Kind::Dict);
}

int64_t integer(const PickleValue& value, const char* what) {
  TORCH_CHECK(value.is(Kind::Integer), what, " should be an int, and is ", value.description());
  TORCH_CHECK(value.integer >= 0, what, " is below 0, ", value.integer);
  return value.integer;
}

std::vector<int64_t> integers(const PickleValue& value, const char* what) {
  constexpr std::size_t most_dimensions = 64;
  TORCH_CHECK(value.is(Kind::Tuple) || value.is(Kind::List), what, "s should be a tuple, and are ",
              value.description());
  TORCH_CHECK(value.items.size() <= most_dimensions, "it has ", value.items.size(),
              " dimensions, more than ", most_dimensions);
  std::vector<int64_t> numbers;
  for (const PickleValue* item : value.items) numbers.push_back(integer(*item, what));
  return numbers;
}

/// The state dict below a checkpoint's outermost value: at most this many wrappings.
constexpr int most_wrappings = 8;
constexpr int deepest_module = 64;
constexpr std::size_t most_entries = 1'000'000;
/// A file may give one long text to many tensors.
constexpr std::size_t longest_name = 1024;
constexpr std::size_t most_letters = std::size_t{1} << 28;
constexpr std::size_t longest_storage_key = 256;
/// Tied weights are twice in a file's names; a million views of one storage are an attack.
constexpr uint64_t most_views_of_a_byte = 16;

class Reader {
 public:
  Reader(const std::shared_ptr<MappedFile>& file,
         const std::function<StoragePlace(const StorageClaim&)>& find)
      : file_(file), find_(find) {}

  Weights read(const PickleValue& root) {
    add_dict(state_dict(root), "", 0);
    TORCH_CHECK(!weights_.tensors.empty(), "it holds no tensors by name", others());
    return std::move(weights_);
  }

 private:
  /// What stands where tensors should: a checkpoint of a student and a teacher, say.
  std::string others() const {
    constexpr std::size_t most_named = 8;
    std::string text;
    for (std::size_t i = 0; i < std::min(weights_.ignored.size(), most_named); ++i) {
      text += (i == 0 ? ", but " : ", ") + weights_.ignored[i];
    }
    return text;
  }

  static const PickleValue& state_dict(const PickleValue& root) {
    const PickleValue* dict = &root;
    for (int i = 0; i < most_wrappings; ++i) {
      if (is_script_module(*dict)) dict = dict->state;
      if (is_call(*dict, "torch.jit._pickle", "restore_type_tag") && !dict->items.empty()) {
        dict = dict->items[0];
      }
      if (!dict->is(Kind::Dict)) break;
      const PickleValue* inner = nullptr;
      for (const char* key : {"state_dict", "model", "module"}) {
        const PickleValue* found = dict->find(key);
        if (found != nullptr && (found->is(Kind::Dict) || is_script_module(*found))) {
          inner = found;
          break;
        }
      }
      if (inner == nullptr) return *dict;
      dict = inner;
    }
    C10_THROW_ERROR(Error, c10::str("it holds ", dict->description(),
                                    " where a state dict should be: save model.state_dict()"));
  }

  void add_dict(const PickleValue& dict, const std::string& prefix, int depth) {
    TORCH_CHECK(depth < deepest_module, "its modules are nested too deeply");
    for (std::size_t i = 0; i + 1 < dict.items.size(); i += 2) {
      TORCH_CHECK(++entries_ <= most_entries, "it has more than ", most_entries, " entries");
      const PickleValue& key = *dict.items[i];
      TORCH_CHECK(key.is(Kind::String), "its state dict has ", key.description(), " as a name");
      letters_ += prefix.size() + key.text.size();
      TORCH_CHECK(prefix.size() + key.text.size() <= longest_name && letters_ <= most_letters,
                  "its names are longer than those of any model: one has ",
                  prefix.size() + key.text.size(), " letters");
      const std::string name = prefix + std::string(key.text);
      const PickleValue& value = *dict.items[i + 1];
      if (is_script_module(value)) {
        add_dict(*value.state, name + ".", depth + 1);
      } else {
        add_entry(name, value);
      }
    }
  }

  void add_entry(const std::string& name, const PickleValue& value) {
    if (!value.is(Kind::Call) && !value.is(Kind::Object)) {
      weights_.ignored.push_back(name + " (" + value.description() + ")");
      return;
    }
    at::Tensor tensor;
    try {
      tensor = tensor_of(value, value.items, 0);
    } catch (const c10::Error& error) {
      C10_THROW_ERROR(Error, c10::str(name, ": ", error.what_without_backtrace()));
    }
    // A key that is set again replaces the value, as in Python.
    weights_.tensors[name] = std::move(tensor);
  }

  /// The tensor that a call, or the function of that name, makes of the arguments.
  at::Tensor tensor_of(const PickleValue& call, const std::vector<const PickleValue*>& arguments,
                       int depth) {
    constexpr int deepest = 8;
    TORCH_CHECK(depth < deepest, "it is wrapped too often");
    const auto is = [&call](std::string_view module, std::string_view name) {
      return is_call(call, module, name) || is_global(&call, module, name);
    };
    const auto need = [&](std::size_t least) {
      TORCH_CHECK(arguments.size() >= least, call.description(), " has ", arguments.size(),
                  " arguments, and needs ", least);
    };
    if (is("torch._utils", "_rebuild_parameter") ||
        is("torch._utils", "_rebuild_parameter_with_state")) {
      need(1);
      return tensor_of(*arguments[0], arguments[0]->items, depth + 1);
    }
    if (is("torch._tensor", "_rebuild_from_type_v2")) {
      // (function, class, its arguments, attributes): a tensor with attributes, which are left out.
      need(3);
      TORCH_CHECK(arguments[0]->is(Kind::Global) && arguments[2]->is(Kind::Tuple),
                  "its class is rebuilt from ", arguments[0]->description(), " and ",
                  arguments[2]->description());
      return tensor_of(*arguments[0], arguments[2]->items, depth + 1);
    }
    if (is("torch._utils", "_rebuild_tensor")) {
      need(4);
      return view(arguments, std::nullopt);
    }
    if (is("torch._utils", "_rebuild_tensor_v2")) {
      need(4);
      if (arguments.size() > 6) check_metadata(*arguments[6]);
      return view(arguments, std::nullopt);
    }
    if (is("torch._utils", "_rebuild_tensor_v3")) {
      need(7);
      if (arguments.size() > 7) check_metadata(*arguments[7]);
      TORCH_CHECK(arguments[6]->is(Kind::Global) && dtypes().count(arguments[6]->text) > 0,
                  "its dtype is ", arguments[6]->description());
      return view(arguments, dtypes().at(arguments[6]->text));
    }
    C10_THROW_ERROR(Error, c10::str("it is ", call.description(), ", no tensor"));
  }

  static void check_metadata(const PickleValue& metadata) {
    TORCH_CHECK(metadata.is(Kind::None) || metadata.items.empty(),
                "it is a conjugate or negated view: save a plain tensor");
  }

  /// arguments: storage, offset, sizes, strides, ...; the last three in elements.
  at::Tensor view(const std::vector<const PickleValue*>& arguments,
                  std::optional<at::ScalarType> wanted) {
    const StorageClaim claim = storage_claim(*arguments[0]);
    const at::ScalarType dtype = wanted.value_or(claim.dtype);
    const auto element = static_cast<uint64_t>(c10::elementSize(dtype));
    const StoragePlace place = find_(claim);
    TORCH_CHECK(claim.bytes <= place.size, "its storage ", claim.key, " claims ", claim.bytes,
                " bytes and has ", place.size);
    const int64_t length = static_cast<int64_t>(claim.bytes / element);

    const int64_t offset = integer(*arguments[1], "the offset");
    const auto sizes = integers(*arguments[2], "the size");
    const auto strides = integers(*arguments[3], "the stride");
    check_reach(sizes, strides, offset, length);

    auto& whole = storages_[{claim.key, dtype}];
    if (!whole.defined()) whole = view_of(file_, place.offset, {length}, dtype);
    const at::Tensor result = whole.as_strided(sizes, strides, offset);
    viewed_ += static_cast<uint64_t>(result.numel()) * element;
    TORCH_CHECK(viewed_ / most_views_of_a_byte <= file_->size(), "its tensors have more than ",
                most_views_of_a_byte, " times the bytes of the file");
    return result;
  }

  static void check_reach(const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides,
                          int64_t offset, int64_t length) {
    TORCH_CHECK(sizes.size() == strides.size(), "it has ", sizes.size(), " sizes and ",
                strides.size(), " strides");
    int64_t last = offset;
    int64_t count = 1;
    int64_t product = 1;  // of sizes without zeros: LibTorch multiplies those, too
    bool fits = true;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      int64_t reach = 0;
      fits =
          fits && !__builtin_mul_overflow(std::max<int64_t>(sizes[i] - 1, 0), strides[i], &reach);
      fits = fits && !__builtin_add_overflow(last, reach, &last);
      fits = fits && !__builtin_mul_overflow(product, std::max<int64_t>(sizes[i], 1), &product);
      if (fits) count *= sizes[i];
    }
    TORCH_CHECK(fits && (count == 0 ? offset <= length : last < length), "its sizes ",
                at::IntArrayRef(sizes), " with strides ", at::IntArrayRef(strides), " from ",
                offset, " on reach beyond its storage of ", length, " numbers");
    TORCH_CHECK(count <= length, "its sizes ", at::IntArrayRef(sizes), " repeat a storage of ",
                length, " numbers: save a contiguous tensor");
  }

  std::shared_ptr<MappedFile> file_;
  const std::function<StoragePlace(const StorageClaim&)>& find_;
  std::map<std::pair<std::string, at::ScalarType>, at::Tensor> storages_;
  Weights weights_;
  std::size_t entries_ = 0;
  std::size_t letters_ = 0;
  uint64_t viewed_ = 0;
};

}  // namespace

bool may_stand_in_weights(std::string_view module, std::string_view name) {
  static const std::set<std::pair<std::string_view, std::string_view>> names = {
      // Tensors.
      {"torch._utils", "_rebuild_tensor"},
      {"torch._utils", "_rebuild_tensor_v2"},
      {"torch._utils", "_rebuild_tensor_v3"},
      {"torch._utils", "_rebuild_parameter"},
      {"torch._utils", "_rebuild_parameter_with_state"},
      {"torch._tensor", "_rebuild_from_type_v2"},
      {"torch", "Tensor"},
      {"torch.nn.parameter", "Parameter"},
      {"torch", "Size"},
      {"torch", "device"},
      // Lists and dicts of TorchScript.
      {"torch.jit._pickle", "restore_type_tag"},
      {"torch.jit._pickle", "build_intlist"},
      {"torch.jit._pickle", "build_doublelist"},
      {"torch.jit._pickle", "build_boollist"},
      {"torch.jit._pickle", "build_tensorlist"},
      // What stands beside them in checkpoints; for us names without a meaning.
      {"collections", "Counter"},
      {"argparse", "Namespace"},
      {"types", "SimpleNamespace"},
      {"mmcv.utils.config", "Config"},
      {"mmengine.config.config", "Config"},
      {"torch.torch_version", "TorchVersion"},
      {"pathlib", "PosixPath"},
      {"pathlib._local", "PosixPath"},
      {"pathlib._local", "WindowsPath"},
      {"pathlib", "PurePosixPath"},
      {"pathlib", "WindowsPath"},
      {"pathlib", "PureWindowsPath"},
      {"datetime", "datetime"},
      {"datetime", "timedelta"},
      {"_codecs", "encode"},
      {"numpy", "dtype"},
      {"numpy", "ndarray"},
      {"numpy.core.multiarray", "scalar"},
      {"numpy.core.multiarray", "_reconstruct"},
      {"numpy.core.numeric", "_frombuffer"},
      {"numpy._core.numeric", "_frombuffer"},
      {"numpy._core.multiarray", "scalar"},
      {"numpy._core.multiarray", "_reconstruct"},
      // The log that MMEngine keeps in checkpoints: histories, whose methods it names by getattr.
      {"mmengine.logging.history_buffer", "HistoryBuffer"},
      {"__builtin__", "getattr"},
      {"builtins", "getattr"},
      // Classes as values: a defaultdict's factory, types in a configuration.
      {"__builtin__", "set"},
      {"builtins", "set"},
      {"__builtin__", "frozenset"},
      {"builtins", "frozenset"},
      {"__builtin__", "bytearray"},
      {"builtins", "bytearray"},
      {"__builtin__", "dict"},
      {"builtins", "dict"},
      {"__builtin__", "list"},
      {"builtins", "list"},
      {"__builtin__", "int"},
      {"builtins", "int"},
      {"__builtin__", "float"},
      {"builtins", "float"},
      {"__builtin__", "complex"},
      {"builtins", "complex"},
  };
  return names.count({module, name}) > 0 || is_dict_class(module, name) ||
         is_storage_class(module, name) || (module == "torch" && dtypes().count(name) > 0) ||
         module.substr(0, 12) == "numpy.dtypes" || module == "__torch__" ||
         module.substr(0, 10) == "__torch__.";
}

std::string torch_dtype_name(at::ScalarType dtype) {
  for (const auto& [name, known] : dtypes()) {
    if (known == dtype) return std::string(name);
  }
  C10_THROW_ERROR(Error, c10::str("tensors of ", dtype, " cannot be written"));
}

StorageClaim storage_claim(const PickleValue& value) {
  TORCH_CHECK(value.is(Kind::Persistent), "its storage is ", value.description());
  const PickleValue& claim = *value.items[0];
  TORCH_CHECK(claim.is(Kind::Tuple) && claim.items.size() >= 5 &&
                  claim.items[0]->is(Kind::String) && claim.items[0]->text == "storage" &&
                  claim.items[1]->is(Kind::Global) && claim.items[2]->is(Kind::String) &&
                  is_storage_class(claim.items[1]->module, claim.items[1]->text),
              "its storage is described by something else than ('storage', class, key, device, "
              "length)");
  TORCH_CHECK(claim.items.size() == 5 || claim.items[5]->is(Kind::None),
              "its storage is a view of another one");
  TORCH_CHECK(claim.items[2]->text.size() <= longest_storage_key, "its storage has a key of ",
              claim.items[2]->text.size(), " letters");
  const at::ScalarType dtype = storage_classes().at(claim.items[1]->text);
  uint64_t bytes = 0;
  TORCH_CHECK(!__builtin_mul_overflow(integer(*claim.items[4], "the length of a storage"),
                                      c10::elementSize(dtype), &bytes) &&
                  bytes <= INT64_MAX,
              "its storage is larger than any memory");
  return {std::string(claim.items[2]->text), dtype, bytes};
}

Weights state_dict_of(const PickleValue& root, const std::shared_ptr<MappedFile>& file,
                      const std::function<StoragePlace(const StorageClaim&)>& find) {
  return Reader(file, find).read(root);
}

}  // namespace weights
