// SPDX-License-Identifier: Apache-2.0
// Memory follows what a file has, not what it claims.
#include <caffe2/serialize/inline_container.h>
#include <torch/torch.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <utility>
#include <vector>

#include "files.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/temporary_folder.hpp"
#include "weights/load.hpp"

namespace {

std::atomic<std::size_t> largest{0};
std::atomic<std::size_t> total{0};

void note(std::size_t size) {
  total += size;
  std::size_t known = largest;
  while (size > known && !largest.compare_exchange_weak(known, size)) {
  }
}

}  // namespace

// The whole program's, so that they are seen; not inlined, since compilers then warn of free().
#define SEEN __attribute__((noinline))

SEEN void* operator new(std::size_t size) {
  note(size);
  void* const memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
SEEN void* operator new(std::size_t size, std::align_val_t alignment) {
  note(size);
  const auto border = static_cast<std::size_t>(alignment);
  void* const memory = std::aligned_alloc(border, (size + border - 1) / border * border);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
SEEN void* operator new(std::size_t size, const std::nothrow_t& /* tag */) noexcept {
  note(size);
  return std::malloc(size);
}
SEEN void operator delete(void* memory) noexcept {
  std::free(memory);
}
SEEN void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
SEEN void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
SEEN void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

TEST_CASE("nothing is allocated on what a file only claims", "[weights]") {
  const support::TemporaryFolder folder;
  const auto path = folder.path() / "claims";
  const auto archive_of = [&path](const std::string& body) {
    const std::string pickle = "\x80\x02" + body + ".";
    caffe2::serialize::PyTorchStreamWriter zip(path.string());
    zip.writeRecord("data.pkl", pickle.data(), pickle.size());
    zip.writeRecord("data/0", "four", 4);
    zip.writeEndOfFile();
    return files::read(path);
  };
  const std::string trillion = files::bytes_of(int64_t{1} << 40);
  const std::string storage = "((X\x07" + std::string(3, '\0') + "storagectorch\nFloatStorage\nX" +
                              files::bytes_of(uint32_t{1}) + "0X" + files::bytes_of(uint32_t{3}) +
                              "cpu\x8a\x08" + trillion + "tQK" + std::string(1, '\0') +
                              "(\x8a\x08" + trillion + "t(K\x01t\x89}tR";
  const std::string header =
      R"({"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}})";
  std::vector<std::string> claims = {
      trillion + "{}",
      files::bytes_of(uint64_t{header.size()}) + header,
      archive_of("\x8d" + trillion + "text"),
      archive_of("\x8e" + trillion + "text"),
      archive_of("X\xff\xff\xff\x7ftext"),
      archive_of("\x8b\xff\xff\xff\x7ftext"),
      archive_of("r\xff\xff\xff\xff"),
      archive_of("Nr\xff\xff\xff\xffN"),
      archive_of("}X" + files::bytes_of(uint32_t{1}) + "actorch._utils\n_rebuild_tensor_v2\n" +
                 storage + "s"),
      "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03."
      "\x80\x02}.\x80\x02}.\x80\x02\x8d" +
          trillion,
  };
  // Sizes in the directory of a zip archive: both of an entry, 20 and 24 bytes behind its start.
  std::string larger = archive_of("N");
  for (const std::string name : {"archive/data.pkl", "claims/data.pkl"}) {
    const std::size_t place = larger.rfind(name);
    if (place == std::string::npos) continue;
    larger.replace(place - 46 + 20, 8, "\xf0\xff\xff\x7f\xf0\xff\xff\x7f");
  }
  claims.push_back(larger);

  for (std::size_t i = 0; i < claims.size(); ++i) {
    files::write(path, claims[i]);
    largest = 0;
    const std::string error = support::error_of([&] { weights::read_file(path); });
    const std::size_t most = largest;
    INFO(i << ": " << error);
    CHECK(error != "(no error)");
    CHECK(error.find("memory: you tried") == std::string::npos);  // the CPU allocator's refusal
    CHECK(most > 0);
    CHECK(most < std::size_t{1} << 20);
  }
}

// What is copied is allocated: the sum of all allocations bounds the work, whatever the machine.
TEST_CASE("the work follows the size of a file, not what refers to what in it", "[weights]") {
  const support::TemporaryFolder folder;
  const auto path = folder.path() / "hostile.pth";
  constexpr int wide = 100'000;
  const auto text = [](const std::string& value) {
    return "X" + files::bytes_of(static_cast<uint32_t>(value.size())) + value;
  };
  const auto repeated = [](const std::string& part) {
    std::string result;
    for (int i = 0; i < wide; ++i) result += part;
    return result;
  };
  const std::string rebuild = "ctorch._utils\n_rebuild_tensor_v2\n";
  const auto storage = [&](const std::string& key) {
    return "((" + text("storage") + "ctorch\nFloatStorage\n" + key + text("cpu") + "K\x01tQ";
  };
  const std::string place = std::string("K\0(K\x01t(K\x01t\x89}", 13);
  const std::string tensor = rebuild + storage(text("0")) + place + "tR";
  // The same value under many names, each of five letters.
  const auto named = [&](const std::string& value) {
    std::string entries = "}(" + text("a") + value + "r\x01" + std::string(3, '\0');
    for (int i = 0; i < wide; ++i) {
      entries += text(std::to_string(100'000 + i)) + "h\x01";
    }
    return entries + "u";
  };
  const std::string long_text = text(std::string(wide, 'x')) + "q\x02";
  std::string collisions;
  for (uint32_t i = 0; i < wide; ++i) collisions += "r" + files::bytes_of(i * 20'011u);
  for (uint32_t i = 0; i < wide; ++i) collisions += "j" + files::bytes_of(i * 20'011u) + "0";

  const std::pair<const char*, std::string> hostile[] = {
      {"lists in lists", repeated("]q\x01") + repeated("a")},
      {"tuples of the last tuple, remembered", "N" + repeated("\x85q\x01")},
      {"tuples of the last tuple, thrice", ")q\x01" + repeated("h\x01h\x01\x87q\x01")},
      {"a wide list in wide lists", "](" + repeated("N") + "eq\x01](" + repeated("h\x01") + "e"},
      {"a wide tuple as arguments",
       "(" + repeated("N") + "tq\x01" + repeated("cargparse\nNamespace\nh\x01R0") + "N"},
      {"a wide dict in dicts",
       "}(" + repeated("NN") + "uq\x01" + repeated("ccollections\nOrderedDict\nh\x01\x85R0") + "N"},
      {"wide arguments of a tensor",
       named("ctorch._tensor\n_rebuild_from_type_v2\n(" + rebuild + "ctorch\nTensor\n" +
             storage(text("0")) + place + repeated("N") + "t}tR")},
      {"a long name", "}(" + long_text + tensor + "q\x01" + repeated("h\x02h\x01") + "u"},
      {"a long storage", named(rebuild + storage(long_text) + place + "tR")},
      {"a long class", named("c__torch__\n" + std::string(wide, 'x') + "\n")},
      {"memo keys", "N" + collisions},
  };
  for (const auto& [what, body] : hostile) {
    INFO(what);
    const std::string pickle = "\x80\x02" + body + ".";
    {
      caffe2::serialize::PyTorchStreamWriter zip(path.string());
      zip.writeRecord("data.pkl", pickle.data(), pickle.size());
      const std::string numbers(4 * wide, '\1');
      zip.writeRecord("data/0", numbers.data(), numbers.size());
      zip.writeEndOfFile();
    }
    total = 0;
    try {
      weights::read_file(path);
    } catch (const c10::Error&) {
    }
    const std::size_t allocated = total;
    CHECK(allocated < 200 * pickle.size() + (std::size_t{1} << 22));
  }
}
