// SPDX-License-Identifier: Apache-2.0
// Files of torch.save: what Python wrote is read, nothing in them is executed, and what lies is
// refused.
#include <caffe2/serialize/inline_container.h>
#include <torch/torch.h>

#include <utility>
#include <vector>

#include "files.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/temporary_folder.hpp"
#include "weights/safetensors.hpp"
#include "weights/stored_zip.hpp"
#include "weights/torch_file.hpp"

namespace fs = std::filesystem;

namespace {

weights::Tensors expected() {
  return weights::read_safetensors(files::fixture("expected.safetensors")).tensors;
}

void check_equal(const weights::Tensors& found, const weights::Tensors& wanted) {
  CHECK(found.size() == wanted.size());
  for (const auto& [name, tensor] : wanted) {
    INFO(name);
    REQUIRE(found.count(name) == 1);
    CHECK(files::same(found.at(name), tensor));
  }
}

using Record = std::pair<std::string, std::string>;

/// An archive as torch.save lays it out, of any content.
void write_archive(const fs::path& path, const std::vector<Record>& records,
                   bool compressed = false) {
  caffe2::serialize::PyTorchStreamWriter zip(path.string());
  for (const auto& [name, bytes] : records) {
    zip.writeRecord(name, bytes.data(), bytes.size(), compressed);
  }
  zip.writeEndOfFile();
}

std::string text(const std::string& value) {
  return "X" + files::bytes_of(static_cast<uint32_t>(value.size())) + value;
}

std::string integer(int64_t value) {
  return "\x8a\x08" + files::bytes_of(value);
}

std::string tuple(const std::vector<std::string>& items) {
  std::string result = "(";
  for (const auto& item : items) result += item;
  return result + "t";
}

std::string integers(const std::vector<int64_t>& values) {
  std::vector<std::string> items;
  for (const int64_t value : values) items.push_back(integer(value));
  return tuple(items);
}

struct Claim {
  std::string storage_class = "ctorch\nFloatStorage\n";
  std::string key = "0";
  int64_t length = 6;
  int64_t offset = 0;
  std::vector<int64_t> sizes = {2, 3};
  std::vector<int64_t> strides = {3, 1};
};

std::string tensor(const Claim& claim) {
  return "ctorch._utils\n_rebuild_tensor_v2\n" +
         tuple({tuple({text("storage"), claim.storage_class, text(claim.key), text("cpu"),
                       integer(claim.length)}) +
                    "Q",
                integer(claim.offset), integers(claim.sizes), integers(claim.strides), "\x89",
                "ccollections\nOrderedDict\n)R"}) +
         "R";
}

std::string dict(const std::string& items) {
  return "}(" + items + "u";
}

std::string pickle(const std::string& body) {
  return "\x80\x02" + body + ".";
}

/// {"weight": the claimed tensor}
std::string pickle_of(const Claim& claim) {
  return pickle(dict(text("weight") + tensor(claim)));
}

class Archive {
 public:
  /// The error of reading an archive with this pickle and a storage of six float32.
  std::string error(const std::string& pickle) const {
    write(pickle);
    return support::error_of([this] { files::touch(weights::read_torch_file(path_).tensors); });
  }
  weights::Tensors read(const std::string& pickle) const {
    write(pickle);
    return weights::read_torch_file(path_).tensors;
  }
  const fs::path& path() const { return path_; }

 private:
  void write(const std::string& pickle) const {
    write_archive(path_, {{"data.pkl", pickle}, {"data/0", std::string(24, '\1')}});
  }

  support::TemporaryFolder folder_;
  fs::path path_ = folder_.path() / "archive.pth";
};

}  // namespace

TEST_CASE("checkpoints of torch.save are read, of every protocol and age", "[weights]") {
  for (const char* name : {"checkpoint.pth", "protocol_5.pth", "before_1_6.pth"}) {
    INFO(name);
    const auto read = weights::read_torch_file(files::fixture(name));
    check_equal(read.tensors, expected());
    CHECK(read.ignored.empty());
  }
}

TEST_CASE("tensors that share a storage share it once read", "[weights]") {
  const auto read = weights::read_torch_file(files::fixture("checkpoint.pth")).tensors;
  read.at("shared.transposed").fill_(5);
  CHECK(at::equal(read.at("shared.slice"), torch::full({6}, 5.0)));
  CHECK(read.at("shared.transposed").strides() == at::IntArrayRef({1, 6}));
  // The file stays as it was.
  check_equal(weights::read_torch_file(files::fixture("checkpoint.pth")).tensors, expected());
}

TEST_CASE("what is written is read again", "[weights]") {
  const support::TemporaryFolder folder;
  auto tensors = expected();
  tensors["complex128"] = torch::randn({2, 2}, torch::kComplexDouble);
  tensors["transposed"] = torch::randn({3, 4}).t();
  for (const char* key : {"", "model", "state_dict"}) {
    const fs::path path = folder.path() / "written.pth";
    weights::write_torch_file(path, tensors, key);
    check_equal(weights::read_torch_file(path).tensors, tensors);
  }
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("archives of torch::serialize are read: module and submodules", "[weights]") {
  const support::TemporaryFolder folder;
  const fs::path path = folder.path() / "checkpoint.pt";
  torch::nn::Sequential model(torch::nn::Conv2d(3, 4, 2), torch::nn::BatchNorm2d(4));
  torch::serialize::OutputArchive archive;
  torch::serialize::OutputArchive inner;
  model->save(inner);
  archive.write("model", inner);
  archive.write("step", c10::IValue(int64_t{3}));
  archive.save_to(path.string());
  const auto read = weights::read_torch_file(path).tensors;
  for (const auto& item : model->named_parameters()) {
    CHECK(files::same(read.at(item.key()), item.value().detach()));
  }
  CHECK(files::same(read.at("1.running_var"), torch::ones(4)));
}

TEST_CASE("nothing in a file is executed, and what could be is refused by name", "[weights]") {
  const auto error = [](const char* name) {
    return support::error_of([&] { weights::read_torch_file(files::fixture(name)); });
  };
  CHECK_THAT(error("attack.pth"), ContainsSubstring("posix.system"));
  CHECK_THAT(error("attack.pth"), ContainsSubstring("nothing was executed"));
  CHECK_THAT(error("whole_module.pth"), ContainsSubstring("torch.nn.modules.linear.Linear"));
  CHECK_THAT(error("opaque_entry.pth"), ContainsSubstring("names: it is argparse.Namespace"));

  const Archive archive;
  const std::string state = text("weight") + tensor({});
  for (const std::string what :
       {"os\nsystem", "builtins\neval", "__builtin__\nexec", "subprocess\nPopen", "torch.hub\nload",
        "torch\nload", "runpy\n_run_code", "numpy.testing\nrundocs"}) {
    const std::string call = "c" + what + "\n" + tuple({text("echo")}) + "R";
    const std::string name = what.substr(what.find('\n') + 1);
    CHECK_THAT(archive.error(pickle(dict(state + text("x") + call))), ContainsSubstring(name));
    // Where the outermost value is something else, and by the other opcode.
    CHECK_THAT(archive.error(pickle(call)), ContainsSubstring(name));
    const std::string module = what.substr(0, what.find('\n'));
    CHECK_THAT(archive.error(pickle(dict(state + text("x") + text(module) + text(name) + "\x93"))),
               ContainsSubstring(name));
  }
  // getattr may name a method of a listed class, and nothing else; what it gives is not called.
  const auto beside = [&](const std::string& value) {
    return archive.error(pickle(dict(text("model") + dict(state) + text("x") + value)));
  };
  const std::string method = "cbuiltins\ngetattr\n";
  const std::string mean = method + tuple({"cargparse\nNamespace\n", text("mean")}) + "R";
  CHECK(beside(mean) == "(no error)");
  CHECK_THAT(beside(method + tuple({text("text"), text("format")}) + "R"),
             ContainsSubstring("only methods of classes"));
  CHECK_THAT(beside(mean + ")R"), ContainsSubstring("no class or function"));
}

TEST_CASE("configurations beside the weights are data", "[weights]") {
  const auto read = weights::read_torch_file(files::fixture("configurations.pth"));
  CHECK(files::same(read.tensors.at("weight"), torch::ones(2)));
  const Archive archive;
  const std::string state = text("state_dict") + dict(text("weight") + tensor({}));
  const auto beside = [&](const std::string& value) {
    return archive.error(pickle(dict(state + text("meta") + value)));
  };
  // Dicts of older projects, with items and attributes; their classes may be no functions.
  for (const std::string name :
       {"mmcv.utils.config\nConfigDict", "fvcore.common.config\nCfgNode",
        "detectron2.config.config\nCfgNode", "easydict\nEasyDict", "addict.addict\nDict"}) {
    const std::string object = "c" + name + "\n)\x81q\x09(" + text("a") + integer(1) + "u";
    CHECK(beside(object + "h\x09" + "b") == "(no error)");
    CHECK(beside(object + "}b") == "(no error)");
    CHECK(beside("c" + name + "\n" + tuple({dict(text("a") + integer(1))}) + "R") == "(no error)");
  }
  CHECK(beside("cmmcv.utils.config\nConfig\n)\x81" + tuple({"}", "N", "N"}) + "b") == "(no error)");
  for (const std::string name :
       {"mmcv.utils.config\nimport_modules_from_strings", "yacs.config\nload_cfg",
        "mmengine.config.config\nConfig.fromfile", "mmengine.config.lazy\nLazyObject"}) {
    const std::string call = "c" + name + "\n" + tuple({text("x")}) + "R";
    CHECK_THAT(beside(call), ContainsSubstring(name.substr(name.find('\n') + 1)));
    CHECK_THAT(beside(call), ContainsSubstring("nothing was executed"));
  }
  // A weights' dict of such a class is one.
  CHECK(archive.read(pickle("caddict.addict\nDict\n)\x81(" + text("weight") + tensor({}) + "u"))
            .count("weight") == 1);
}

TEST_CASE("tensors that lie about their storage are refused", "[weights]") {
  const Archive archive;
  CHECK(at::equal(archive.read(pickle_of({})).at("weight").view(at::kByte),
                  torch::ones({2, 12}, torch::kByte)));
  const auto error = [&archive](void (*change)(Claim&)) {
    Claim claim;
    change(claim);
    return archive.error(pickle_of(claim));
  };
  const auto beyond = ContainsSubstring("weight: its sizes");
  CHECK_THAT(error([](Claim& c) { c.sizes = {3, 3}; }), beyond);
  CHECK_THAT(error([](Claim& c) { c.offset = 1; }), beyond);
  CHECK_THAT(error([](Claim& c) { c.strides = {4, 1}; }), beyond);
  CHECK_THAT(error([](Claim& c) { c.sizes = {INT64_MAX, INT64_MAX}; }), beyond);
  CHECK_THAT(error([](Claim& c) { c.strides = {INT64_MAX, INT64_MAX}; }), beyond);
  CHECK_THAT(error([](Claim& c) { c.offset = INT64_MAX; }), beyond);
  CHECK_THAT(error([](Claim& c) {
               c.sizes = {0, INT64_MAX, INT64_MAX};
               c.strides = {1, 1, 1};
             }),
             beyond);
  CHECK_THAT(error([](Claim& c) {
               c.sizes = {int64_t{1} << 40};
               c.strides = {0};
             }),
             ContainsSubstring("repeat a storage"));
  CHECK_THAT(error([](Claim& c) { c.sizes = {-2, -3}; }), ContainsSubstring("below 0"));
  CHECK_THAT(error([](Claim& c) { c.strides = {-3, 1}; }), ContainsSubstring("below 0"));
  CHECK_THAT(error([](Claim& c) { c.offset = -1; }), ContainsSubstring("below 0"));
  CHECK_THAT(error([](Claim& c) { c.strides = {1}; }), ContainsSubstring("2 sizes and 1 strides"));
  CHECK_THAT(error([](Claim& c) { c.sizes = std::vector<int64_t>(65, 1); }),
             ContainsSubstring("65 dimensions"));
  CHECK_THAT(error([](Claim& c) { c.length = 7; }),
             ContainsSubstring("claims 28 bytes and has 24"));
  CHECK_THAT(error([](Claim& c) { c.length = INT64_MAX; }),
             ContainsSubstring("larger than any memory"));
  CHECK_THAT(error([](Claim& c) { c.length = -1; }), ContainsSubstring("below 0"));
  CHECK_THAT(error([](Claim& c) { c.key = "1"; }), ContainsSubstring("data/1"));
  CHECK_THAT(error([](Claim& c) { c.key = "../data.pkl"; }), ContainsSubstring("it has no"));
  CHECK_THAT(error([](Claim& c) { c.storage_class = "ctorch\nSize\n"; }),
             ContainsSubstring("described by something else"));

  // Many names for one storage would become many copies.
  Claim large;
  large.sizes = {10'000};
  large.strides = {1};
  large.length = 10'000;
  std::string views = "}(" + text("a") + tensor(large) + "q\x07";
  for (int i = 0; i < 1000; ++i) views += text("b" + std::to_string(i)) + "h\x07";
  write_archive(archive.path(),
                {{"data.pkl", pickle(views + "u")}, {"data/0", std::string(40'000, '\1')}});
  CHECK_THAT(support::error_of([&] { weights::read_torch_file(archive.path()); }),
             ContainsSubstring("more than 16 times the bytes"));
}

TEST_CASE("malformed pickles are refused", "[weights]") {
  const Archive archive;
  const std::pair<std::string, std::string> cases[] = {
      {"", "does not begin with a protocol"},
      {"\x80\x02", "truncated"},
      {"\x80\x01N.", "protocol 1"},
      {"\x80\x06N.", "protocol 6"},
      {"garbage", "does not begin with a protocol"},
      {pickle(""), "empty stack"},
      {pickle("N"), "None where a state dict should be"},
      {pickle("}"), "no tensors by name"},
      {pickle("}(" + text("student") + "}" + text("teacher") + "}u"),
       "no tensors by name, but student (a dict), teacher (a dict)"},
      {pickle("0"), "empty stack"},
      {pickle("t"), "lacks a mark"},
      {pickle("u"), "lacks a mark"},
      {pickle("(N\x85"), "a tuple where a state dict"},
      {pickle("N(\x85"), "empty stack"},
      {pickle("N(R"), "empty stack"},
      {pickle("NNs"), "empty stack"},
      {pickle("NNNs"), "as if it were a list, set or dict"},
      {pickle("}Na"), "as if it were a list, set or dict"},
      {pickle("}(Nu"), "a key without a value"},
      {pickle("h\x05"), "value 5 of its memo"},
      {pickle("j\xff\xff\xff\xff"), "of its memo"},
      {pickle("NN\x81"), "not as a tuple"},
      {pickle("N)R"), "no class or function"},
      {pickle("NN\x93"), "names a class by"},
      {pickle("NNb"), "attributes"},
      {pickle("X\xff\xff\xff\xff"), "truncated"},
      {pickle("\x8d\xff\xff\xff\xff\xff\xff\xff\xff"), "truncated"},
      {pickle("\x8b\xff\xff\xff\xff"), "integer of"},
      {pickle("T\xff\xff\xff\xff"), "text of"},
      {pickle("cos"), "a name has no end"},
      {pickle("I1\n"), "opcode 0x49"},
      {pickle("(ios\nsystem\n"), "opcode 0x69"},
      {pickle("Pname\n"), "opcode 0x50"},
      {pickle("\x82\x01"), "opcode 0x82"},
      {pickle("NQ"), "a storage where a state dict should be"},
      {pickle(dict(text("a") + "NQ")), "no tensors by name"},
      {pickle(dict(integer(1) + tensor({}))), "an int as a name"},
      {pickle(dict(text("a") + "ctorch._utils\n_rebuild_tensor_v2\n)R")), "0 arguments"},
      {pickle(dict(text("a") + "ctorch._utils\n_rebuild_parameter\n(NtR")), "a: it is None"},
  };
  for (const auto& [bytes, message] : cases) {
    INFO(bytes);
    CHECK_THAT(archive.error(bytes), ContainsSubstring(message));
  }
}

TEST_CASE("depth, cycles and repetition in a pickle do no harm", "[weights]") {
  const Archive archive;
  const std::string state = text("weight") + tensor({});
  // Lists in lists, half a million deep, beside the weights.
  std::string deep;
  for (int i = 0; i < 500'000; ++i) deep += "]";
  for (int i = 0; i + 1 < 500'000; ++i) deep += "a";
  CHECK(archive.error(pickle(dict(state + text("deep") + deep))) == "(no error)");
  // A list that holds itself, a dict that is its own state dict.
  CHECK(archive.error(pickle(dict(state + text("x") + "]q\x01h\x01" + "a"))) == "(no error)");
  CHECK_THAT(archive.error(pickle("}q\x01" + text("model") + "h\x01s")),
             ContainsSubstring("where a state dict should be"));
  // A tree of 2^60 modules made of 60.
  std::string tree = "c__torch__\nModule\n)\x81}b";
  for (int i = 0; i < 60; ++i) {
    tree = "c__torch__\nModule\n)\x81}(" + text("a") + tree + "q\x01" + text("b") + "h\x01" + "ub";
  }
  CHECK_THAT(archive.error(pickle(tree)), ContainsSubstring("more than 1000000 entries"));
  std::string nested = "c__torch__\nModule\n)\x81}b";
  for (int i = 0; i < 100; ++i) {
    nested = "c__torch__\nModule\n)\x81}(" + text("a") + nested + "ub";
  }
  CHECK_THAT(archive.error(pickle(nested)), ContainsSubstring("nested too deeply"));
  // Parameters of parameters.
  std::string wrapped = tensor({});
  for (int i = 0; i < 100; ++i) {
    wrapped = "ctorch._utils\n_rebuild_parameter\n" + tuple({wrapped, "\x89", "N"}) + "R";
  }
  CHECK_THAT(archive.error(pickle(dict(text("a") + wrapped))),
             ContainsSubstring("wrapped too often"));
  // One byte a value: more values than any checkpoint has.
  CHECK_THAT(archive.error(pickle(std::string(5'000'000, ']'))), ContainsSubstring("values"));
  // The same large arguments again and again.
  std::string repeated = "(";
  repeated += std::string(10'000, 'N') + "tq\x01" + "0";
  for (int i = 0; i < 10'000; ++i) repeated += "cargparse\nNamespace\nh\x01R0";
  CHECK_THAT(archive.error(pickle(repeated + "N")), ContainsSubstring("too often"));
}

TEST_CASE("archives that lie are refused", "[weights]") {
  const auto compressed = [] { weights::read_torch_file(files::fixture("compressed.pth")); };
  CHECK_THAT(support::error_of(compressed), ContainsSubstring("is compressed"));

  const Archive archive;
  REQUIRE(archive.error(pickle_of({})) == "(no error)");
  const std::string whole = files::read(archive.path());
  const auto error = [&archive](const std::string& bytes) {
    files::write(archive.path(), bytes);
    return support::error_of([&] { weights::read_torch_file(archive.path()); });
  };
  CHECK_THAT(error(""), ContainsSubstring("empty"));
  CHECK_THAT(error("PK\x03\x04"), ContainsSubstring("is truncated"));
  CHECK_THAT(error(whole.substr(0, whole.size() - 1)), ContainsSubstring("is truncated"));
  CHECK_THAT(error(whole.substr(0, whole.size() / 2)), ContainsSubstring("is truncated"));
  CHECK_THAT(error("not a checkpoint at all"), ContainsSubstring("no file of torch.save"));

  // The pickle's bytes and its checksum.
  std::string flipped = whole;
  flipped[whole.find("_rebuild_tensor_v2")] = 'X';
  CHECK_THAT(error(flipped), ContainsSubstring("its checksum is another"));

  // Sizes in the directory: its entries begin with PK 1 2, sizes are 20 and 24 bytes behind.
  const std::size_t entry = whole.rfind("archive/data/0") - 46;
  REQUIRE(whole.substr(entry, 4) == "PK\x01\x02");
  for (const uint32_t size : {uint32_t{1000}, uint32_t{1} << 20, uint32_t{0x7fffffff}}) {
    std::string larger = whole;
    larger.replace(entry + 20, 4, files::bytes_of(size));
    larger.replace(entry + 24, 4, files::bytes_of(size));
    CHECK(error(larger) != "(no error)");
    std::string bomb = whole;
    bomb.replace(entry + 24, 4, files::bytes_of(size));
    CHECK_THAT(error(bomb), ContainsSubstring("is compressed"));
  }
  // A file twice: which of the two is meant?
  write_archive(archive.path(), {{"data.pkl", pickle_of({})},
                                 {"data/0", std::string(24, '\1')},
                                 {"data/1", std::string(24, '\2')}});
  std::string twice = files::read(archive.path());
  twice[twice.rfind("archive/data/1") + 13] = '0';
  CHECK_THAT(error(twice), ContainsSubstring("archive/data/0 twice"));
  // Two pickles: which of the two is meant?
  write_archive(
      archive.path(),
      {{"data.pkl", pickle_of({})}, {"data/0", std::string(24, '\1')}, {"data/1", pickle_of({})}});
  std::string pickles = files::read(archive.path());
  const std::string second = "archive/data/1";
  for (const std::size_t place : {pickles.find(second), pickles.rfind(second)}) {
    pickles.replace(place, second.size(), "other/data.pkl");
  }
  CHECK_THAT(error(pickles), ContainsSubstring("two pickles"));
  // Big-endian numbers.
  write_archive(
      archive.path(),
      {{"data.pkl", pickle_of({})}, {"byteorder", "big"}, {"data/0", std::string(24, '\1')}});
  CHECK_THAT(support::error_of([&] { weights::read_torch_file(archive.path()); }),
             ContainsSubstring("big-endian"));
  // Another zip archive.
  write_archive(archive.path(), {{"readme", "text"}});
  CHECK_THAT(support::error_of([&] { weights::read_torch_file(archive.path()); }),
             ContainsSubstring("without data.pkl"));
  // A zip bomb in place of a storage.
  write_archive(archive.path(),
                {{"data.pkl", pickle_of({})}, {"data/0", std::string(1 << 20, '\0')}},
                /*compressed=*/true);
  CHECK_THAT(support::error_of([&] { weights::read_torch_file(archive.path()); }),
             ContainsSubstring("is compressed"));
}

TEST_CASE("2000 damaged files of torch.save are read or refused", "[weights]") {
  const support::TemporaryFolder folder;
  const fs::path path = folder.path() / "damaged.pth";
  std::mt19937 random(2);
  for (const char* name : {"checkpoint.pth", "before_1_6.pth"}) {
    const std::string whole = files::read(files::fixture(name));
    int refused = 0;
    for (int i = 0; i < 2000; ++i) {
      files::write(path, files::damaged(whole, random));
      try {
        files::touch(weights::read_torch_file(path).tensors);
      } catch (const c10::Error&) {
        ++refused;
      }
    }
    INFO(name);
    CHECK(refused > 1000);
  }
}

TEST_CASE("what is stored is read where it lies", "[weights]") {
  const std::string source = files::read(files::fixture("checkpoint.pth"));
  weights::StoredZip zip(source);
  for (const auto& item : zip.names()) {
    const std::string_view bytes = zip.read(item.first);
    CHECK(bytes.data() >= source.data());
    CHECK(bytes.data() + bytes.size() <= source.data() + source.size());
  }
}

TEST_CASE("2000 damaged pickles in sound archives are read or refused", "[weights]") {
  const support::TemporaryFolder folder;
  const fs::path path = folder.path() / "damaged.pth";
  const std::string source = files::read(files::fixture("checkpoint.pth"));
  weights::StoredZip zip(source);
  std::vector<Record> records;
  std::string whole;
  for (const auto& item : zip.names()) {
    const std::string name = item.first.substr(item.first.find('/') + 1);
    if (name == "data.pkl") whole = zip.read(item.first);
    if (name.rfind("data/", 0) == 0) records.emplace_back(name, zip.read(item.first));
  }
  REQUIRE_FALSE(whole.empty());
  records.emplace_back("data.pkl", "");
  std::mt19937 random(3);
  int refused = 0;
  for (int i = 0; i < 2000; ++i) {
    records.back().second = files::damaged(whole, random);
    write_archive(path, records);
    try {
      files::touch(weights::read_torch_file(path).tensors);
    } catch (const c10::Error&) {
      ++refused;
    }
  }
  CHECK(refused > 1000);
}
