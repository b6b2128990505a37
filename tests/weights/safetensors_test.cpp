// SPDX-License-Identifier: Apache-2.0
// safetensors: what is written is read, without a copy; what is damaged is refused.
#include <torch/torch.h>

#include <utility>

#include "files.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/temporary_folder.hpp"
#include "weights/safetensors.hpp"

namespace fs = std::filesystem;

namespace {

const at::ScalarType all_dtypes[] = {at::kBool,
                                     at::kByte,
                                     at::kChar,
                                     at::kShort,
                                     at::kUInt16,
                                     at::kInt,
                                     at::kUInt32,
                                     at::kLong,
                                     at::kUInt64,
                                     at::kHalf,
                                     at::kBFloat16,
                                     at::kFloat,
                                     at::kDouble,
                                     at::kComplexFloat,
                                     at::kFloat8_e4m3fn,
                                     at::kFloat8_e5m2,
                                     at::kFloat8_e4m3fnuz,
                                     at::kFloat8_e5m2fnuz,
                                     at::kFloat8_e8m0fnu};

weights::Tensors of_all_dtypes() {
  weights::Tensors tensors;
  for (const auto dtype : all_dtypes) {
    const auto element = static_cast<int64_t>(c10::elementSize(dtype));
    const auto bytes = torch::randint(dtype == at::kBool ? 2 : 256, {3, 5 * element}, torch::kByte);
    tensors[c10::toString(dtype)] = bytes.view(dtype);
  }
  tensors["scalar"] = torch::tensor(2.5);
  tensors["empty"] = torch::empty({0, 7});
  tensors["transposed"] = torch::randn({3, 4}).t();
  return tensors;
}

std::string file_of(const std::string& header, const std::string& data) {
  return files::bytes_of(uint64_t{header.size()}) + header + data;
}

}  // namespace

TEST_CASE("safetensors of every dtype come back as they were", "[weights]") {
  const support::TemporaryFolder folder;
  const fs::path path = folder.path() / "all.safetensors";
  const auto tensors = of_all_dtypes();
  weights::write_safetensors(path, tensors, {{"format", "pt"}, {"by", "a \"test\""}});
  const auto read = weights::read_safetensors(path);
  CHECK(read.metadata.at("format") == "pt");
  CHECK(read.metadata.at("by") == "a \"test\"");
  REQUIRE(read.tensors.size() == tensors.size());
  for (const auto& [name, tensor] : tensors) {
    INFO(name);
    const auto& found = read.tensors.at(name);
    CHECK(files::same(found, tensor));
    CHECK(reinterpret_cast<std::uintptr_t>(found.const_data_ptr()) %
              std::min<std::size_t>(c10::elementSize(found.scalar_type()), 8) ==
          0);
  }
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("read tensors are views of the file, and writing to them leaves it alone", "[weights]") {
  const support::TemporaryFolder folder;
  const fs::path path = folder.path() / "views.safetensors";
  weights::write_safetensors(path, {{"a", torch::zeros({2, 2})}, {"b", torch::ones(3)}});
  const std::string before = files::read(path);
  at::Tensor a;
  at::Tensor b;
  {
    const auto read = weights::read_safetensors(path);
    a = read.tensors.at("a");
    b = read.tensors.at("b");
  }
  // One mapping: b ends where the file does, a as many bytes before as the format says.
  const auto address = [](const at::Tensor& tensor) {
    return static_cast<const char*>(tensor.const_data_ptr());
  };
  CHECK(address(b) - address(a) == 16);
  a.fill_(7);
  CHECK(a.sum().item<float>() == 28);
  CHECK(files::read(path) == before);

  // To write over a file that is mapped is safe: the old one stays until its tensors go.
  weights::write_safetensors(path, {{"a", a + 1}});
  CHECK(b.sum().item<float>() == 3);
  CHECK(weights::read_safetensors(path).tensors.at("a").sum().item<float>() == 32);
}

TEST_CASE("numbers at odd addresses are copied", "[weights]") {
  const support::TemporaryFolder folder;
  const fs::path path = folder.path() / "odd.safetensors";
  const auto numbers = torch::randn(4);
  const std::string data(static_cast<const char*>(numbers.const_data_ptr()), 16);
  files::write(path, file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                             R"("e":{"dtype":"F32","shape":[0],"data_offsets":[1,1]},)"
                             R"("b":{"dtype":"F32","shape":[4],"data_offsets":[1,17]}})",
                             "x" + data));
  CHECK(weights::read_safetensors(path).tensors.at("e").numel() == 0);
  CHECK(files::same(weights::read_safetensors(path).tensors.at("b"), numbers));
}

TEST_CASE("what Python's safetensors wrote is read", "[weights]") {
  const auto read = weights::read_safetensors(files::fixture("expected.safetensors"));
  CHECK(read.tensors.size() == 19);
  CHECK(read.tensors.at("scalar").item<float>() == 3.5f);
  CHECK(read.tensors.at("empty").sizes() == at::IntArrayRef({0, 4}));
}

TEST_CASE("safetensors that break the rules are refused, by name", "[weights]") {
  const support::TemporaryFolder folder;
  const fs::path path = folder.path() / "bad.safetensors";
  const std::string four(4, 'x');
  const std::pair<std::string, std::string> cases[] = {
      {"", "empty"},
      {"short", "too short"},
      {files::bytes_of(uint64_t{1} << 60) + "{}", "says that its header has"},
      {files::bytes_of(~uint64_t{0}) + "{}", "says that its header has"},
      {file_of("{", ""), "no JSON"},
      {file_of("[]", ""), "no JSON object"},
      {file_of("\xff\xfe{}", ""), "no JSON"},
      {file_of(std::string(100'000, '['), ""), "nested too deeply"},
      {file_of(R"({"a":{"a":{"a":{"a":{"a":1}}}}})", ""), "nested too deeply"},
      {file_of(R"({"a":1})", ""), "should have dtype, shape and data_offsets"},
      {file_of(R"({"__metadata__":[1]})", ""), "metadata are no JSON object"},
      {file_of(R"({"__metadata__":{"a":1}})", ""), "are no text"},
      {file_of(R"({"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}})", four), "F31"},
      {file_of(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", four),
       "whole numbers"},
      {file_of(R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", four),
       "whole numbers"},
      {file_of(R"({"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}})", four), "list of up to"},
      {file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", four),
       "should have 8 bytes, and has 4"},
      {file_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,5]}})", four),
       "truncated or damaged"},
      {file_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", four),
       "truncated or damaged"},
      {file_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551615]}})",
               four),
       "truncated or damaged"},
      {file_of(R"({"a":{"dtype":"F32","shape":[4611686018427387905,4],"data_offsets":[0,16]}})",
               four + four + four + four),
       "larger than any memory"},
      {file_of(R"({"a":{"dtype":"F32","shape":[0,4611686018427387904,4],"data_offsets":[0,0]}})",
               ""),
       "larger than any memory"},
      {file_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
               R"("b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
               four),
       "overlap or leave holes"},
      {file_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", four + four),
       "overlap or leave holes"},
      {file_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", four + four),
       "end at byte 4 of 8"},
      {file_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
               R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
               four),
       "has a twice"},
  };
  for (const auto& [bytes, message] : cases) {
    files::write(path, bytes);
    const std::string error = support::error_of([&] { weights::read_safetensors(path); });
    INFO(bytes.substr(0, 200));
    CHECK_THAT(error, ContainsSubstring(message));
    CHECK_THAT(error, ContainsSubstring("bad.safetensors"));
  }
  const auto missing = [&] { weights::read_safetensors(folder.path() / "none"); };
  CHECK_THAT(support::error_of(missing), ContainsSubstring("cannot be opened"));
  CHECK_THAT(support::error_of([&] { weights::read_safetensors(folder.path()); }),
             ContainsSubstring("no regular file"));
}

TEST_CASE("what cannot be written leaves the old file", "[weights]") {
  const support::TemporaryFolder folder;
  const fs::path path = folder.path() / "kept.safetensors";
  weights::write_safetensors(path, {{"a", torch::ones(1)}});
  const std::string before = files::read(path);
  const auto error = [&](const weights::Tensors& tensors) {
    return support::error_of([&] { weights::write_safetensors(path, tensors); });
  };
  CHECK_THAT(error({{"a", torch::ones(1, torch::kComplexDouble)}}),
             ContainsSubstring("the format has no ComplexDouble"));
  CHECK_THAT(error({{"__metadata__", torch::ones(1)}}), ContainsSubstring("may be called"));
  CHECK_THAT(error({{"\xff", torch::ones(1)}}), ContainsSubstring("no UTF-8"));
  CHECK(files::read(path) == before);
  CHECK_THAT(
      support::error_of([&] { weights::write_safetensors(folder.path() / "no" / "folder", {}); }),
      ContainsSubstring("cannot write"));
}

TEST_CASE("2000 damaged safetensors files are read or refused", "[weights]") {
  const support::TemporaryFolder folder;
  const fs::path path = folder.path() / "damaged.safetensors";
  weights::write_safetensors(path, of_all_dtypes());
  const std::string whole = files::read(path);
  std::mt19937 random(1);
  int refused = 0;
  for (int i = 0; i < 2000; ++i) {
    files::write(path, files::damaged(whole, random));
    try {
      files::touch(weights::read_safetensors(path).tensors);
    } catch (const c10::Error&) {
      ++refused;
    }
  }
  CHECK(refused > 1000);
}
