// SPDX-License-Identifier: Apache-2.0
// The program `pretrain` itself: resume after a kill, signals, errors, configuration files.
#include <torch/torch.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "data/decode.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/program.hpp"
#include "support/temporary_folder.hpp"

namespace fs = std::filesystem;

using support::text_of;

namespace {

/// A folder with a few photographs, and a place for what the program writes.
class Workplace {
 public:
  Workplace() {
    fs::create_directories(folder_.path() / "photos");
    for (int64_t i = 0; i < 7; ++i) {
      const auto y = torch::linspace(0, static_cast<double>(i + 2), 40 + i).view({-1, 1, 1});
      const auto x = torch::linspace(0, 3, 50).view({1, -1, 1}) + torch::arange(3);
      data::write_png(photos() / ("photo" + std::to_string(i) + ".png"),
                      (torch::sin(x + y) * 100 + 120).to(torch::kByte));
    }
  }
  fs::path photos() const { return folder_.path() / "photos"; }
  /// The photographs again, in two tar files.
  fs::path shards() const {
    fs::create_directories(file("shards"));
    for (const char* part : {"[0-3]", "[4-6]"}) {
      const std::string shard = (file("shards") / (std::string(part) + ".tar")).string();
      const std::string command =
          "cd " + photos().string() + " && tar -cf '" + shard + "' photo" + part + ".png";
      REQUIRE(std::system(command.c_str()) == 0);
    }
    return file("shards");
  }
  fs::path file(const std::string& name) const { return folder_.path() / name; }

  /// Starts the program on a small model, its output in `output` and `output`.txt.
  pid_t start(const std::string& output, const std::string& arguments) const {
    const std::string command = "XDG_CACHE_HOME=" + file("cache").string() +
                                " exec " PRETRAIN_PROGRAM " --data " + photos().string() +
                                " --output " + file(output).string() + small_ + arguments;
    return support::start_program(command, file(output + ".txt"));
  }
  int run(const std::string& output, const std::string& arguments) const {
    return support::wait_for_program(start(output, arguments));
  }
  std::string printed(const std::string& output) const { return text_of(file(output + ".txt")); }

  /// Waits until the program has logged a step.
  void wait_for_rows(const std::string& output, int64_t rows) const {
    for (int i = 0; i < 1200; ++i) {
      const std::string log = text_of(file(output) / "loss.csv");
      if (std::count(log.begin(), log.end(), '\n') > rows) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    FAIL("the program logs no steps: " << printed(output));
  }

 private:
  support::TemporaryFolder folder_;
  std::string small_ =
      " --model tiny --image-size 32 --patch-size 8 --decoder-dim 16 --decoder-depth 1"
      " --decoder-heads 2 --radius 6 --batch 4 --accumulate 2 --no-bf16 --pictures 2 --blr 0.02"
      " --threads 1 ";  // of too little work to share, on cores that other tests use
};

std::map<std::string, at::Tensor> weights(const fs::path& checkpoint) {
  torch::serialize::InputArchive archive;
  archive.load_from(checkpoint.string());
  torch::serialize::InputArchive model;
  archive.read("model", model);
  torch::serialize::InputArchive norm;
  model.read("norm", norm);
  std::map<std::string, at::Tensor> result;
  for (const char* name : {"cls_token", "mask_token"}) model.read(name, result[name]);
  for (const char* name : {"weight", "bias"}) norm.read(name, result[name]);
  return result;
}

}  // namespace

TEST_CASE("a run that was killed goes on to the same weights", "[pretrain]") {
  const Workplace workplace;
  const std::string files = "--data " + workplace.photos().string();
  const std::string shards =
      "--data " + workplace.shards().string() + " --shuffle-buffer 3 --fast-decode";
  for (const auto& [name, data] : {std::pair("files", files), std::pair("shards", shards)}) {
    const std::string whole = std::string(name) + "-whole";
    const std::string killed = std::string(name) + "-killed";
    const std::string run = data + " --steps 30 --save-every 4 ";
    REQUIRE(workplace.run(whole, run + "--workers 2") == 0);

    const pid_t child = workplace.start(killed, run + "--workers 3 --prefetch 4");
    workplace.wait_for_rows(killed, 9);
    kill(child, SIGKILL);
    const int ended = support::wait_for_program(child);
    CHECK((ended == -SIGKILL || ended == 0));
    REQUIRE(fs::exists(workplace.file(killed) / "checkpoint.pt"));
    REQUIRE(workplace.run(killed, run + "--workers 0 --resume") == 0);
    CHECK_THAT(workplace.printed(killed), ContainsSubstring("resumed from step"));

    CHECK(text_of(workplace.file(whole) / "loss.csv") ==
          text_of(workplace.file(killed) / "loss.csv"));
    const auto a = weights(workplace.file(whole) / "checkpoint.pt");
    const auto b = weights(workplace.file(killed) / "checkpoint.pt");
    for (const auto& [parameter, tensor] : a) CHECK(at::equal(tensor, b.at(parameter)));
  }
}

TEST_CASE("Ctrl-C leaves a checkpoint", "[pretrain]") {
  const Workplace workplace;
  const pid_t child = workplace.start("out", "--steps 100000 --save-every 100000");
  workplace.wait_for_rows("out", 2);
  kill(child, SIGINT);
  CHECK(support::wait_for_program(child) == 128 + SIGINT);
  CHECK(fs::exists(workplace.file("out") / "checkpoint.pt"));
  CHECK_THAT(workplace.printed("out"), ContainsSubstring("go on with --resume"));
}

TEST_CASE("a run leaves its losses, options and pictures", "[pretrain]") {
  const Workplace workplace;
  REQUIRE(workplace.run("out", "--steps 3 --fast-decode --no-norm-pix") == 0);
  const auto pictures = data::read_image(workplace.file("out") / "reconstructions.png");
  // Two rows of image, masked, reconstruction and target, enlarged to 192 pixels, 8 between them.
  CHECK(pictures.sizes() == at::IntArrayRef({2 * 200, 4 * 200, 3}));
  CHECK(data::read_image(workplace.file("out") / "targets.png").size(1) == 3 * 200);
  const std::string log = text_of(workplace.file("out") / "loss.csv");
  CHECK(std::count(log.begin(), log.end(), '\n') == 4);

  // The options that it wrote make the same run again, those that are on by default or by choice too.
  const std::string options = text_of(workplace.file("out") / "run.toml");
  for (const char* line :
       {"fast-decode=true", "norm-pix=false", "list-cache=true", "strict=false"}) {
    CHECK_THAT(options, ContainsSubstring(line));
  }
  REQUIRE(workplace.run("again", "--config " + workplace.file("out/run.toml").string()) == 0);
  CHECK(text_of(workplace.file("again") / "loss.csv") == log);
}

TEST_CASE("a run of a given time ends, and goes on when it is resumed", "[pretrain]") {
  const Workplace workplace;
  REQUIRE(workplace.run("out", "--seconds 2") == 0);
  REQUIRE(workplace.run("out", "--seconds 2 --resume") == 0);
  CHECK_THAT(workplace.printed("out"), ContainsSubstring("resumed from step"));
}

TEST_CASE("every host trains, and goes on where it was stopped", "[pretrain]") {
  const Workplace workplace;
  for (const auto& [host, own] : std::map<std::string, std::string>{
           {"mae", "--depth 2 --activation-checkpointing"},
           {"convmae", "--model base --patch-size 0 --depth 1"},
           {"lsmae", "--depth 2 --decoder-downsampling 2 --pred-downsampling 2"},
           {"mff", "--depth 3 --out-indices 0,2"},
           {"simmim",
            "--depth 2 --mask-patch-size 16 --drop-path 0.5 --decoder-dim 0 --decoder-depth 0 "
            "--decoder-heads 0"}}) {
    CAPTURE(host);
    const std::string run = "--host " + host + " " + own + " --steps 3 --save-every 1 ";
    REQUIRE(workplace.run(host, run) == 0);
    CHECK(data::read_image(workplace.file(host) / "reconstructions.png").size(1) == 4 * 200);
    const std::string log = text_of(workplace.file(host) / "loss.csv");
    CHECK(std::count(log.begin(), log.end(), '\n') == 4);
    CHECK_THAT(log, !ContainsSubstring("nan"));

    const pid_t child = workplace.start(host + "-killed", run);
    workplace.wait_for_rows(host + "-killed", 2);
    kill(child, SIGKILL);
    support::wait_for_program(child);
    REQUIRE(workplace.run(host + "-killed", run + "--resume") == 0);
    CHECK(text_of(workplace.file(host + "-killed") / "loss.csv") == log);
  }
}

TEST_CASE("every crop and target trains", "[pretrain]") {
  const Workplace workplace;
  CHECK(workplace.run("mae", "--steps 2 --crop rrc --interpolation bicubic --target pixels") == 0);
  CHECK(workplace.run("bf16", "--steps 2 --bf16 --schedule mae --decay mae") == 0);
  CHECK(text_of(workplace.file("mae") / "loss.csv") !=
        text_of(workplace.file("bf16") / "loss.csv"));
}

TEST_CASE("a file that is no image is skipped with its name, or stops a strict run", "[pretrain]") {
  const Workplace workplace;
  std::ofstream(workplace.photos() / "broken.jpg") << "no image";
  CHECK(workplace.run("lenient", "--steps 3") == 0);
  CHECK_THAT(workplace.printed("lenient"), ContainsSubstring("skipped files: 1"));
  CHECK_THAT(workplace.printed("lenient"), ContainsSubstring("broken.jpg"));
  CHECK_THAT(workplace.printed("lenient"), ContainsSubstring("waiting: model"));
  CHECK(workplace.run("limited", "--steps 2 --max-pixels 2100") == 0);  // 40x50 to 42x50 pass
  CHECK_THAT(workplace.printed("limited"), ContainsSubstring("skipped files: 5"));
  CHECK(workplace.run("strict", "--steps 3 --strict") == 1);
  CHECK_THAT(workplace.printed("strict"), ContainsSubstring("broken.jpg"));
}

TEST_CASE("a run of which nothing can be read fails, and names no pictures", "[pretrain]") {
  const Workplace workplace;
  for (const auto& photo : fs::directory_iterator(workplace.photos())) {
    std::ofstream(photo.path()) << "no image";
  }
  CHECK(workplace.run("out", "--steps 1 --batch 2 --accumulate 1") == 1);
  CHECK_THAT(workplace.printed("out"), ContainsSubstring("nothing was learnt"));
  CHECK_THAT(workplace.printed("out"), !ContainsSubstring("reconstructions.png"));
}

TEST_CASE("a run goes on with the photographs that it began with, wherever they are",
          "[pretrain]") {
  const Workplace workplace;
  REQUIRE(workplace.run("out", "--steps 2") == 0);
  fs::rename(workplace.photos(), workplace.file("moved"));
  const std::string moved = "--steps 2 --resume --data " + workplace.file("moved").string();
  CHECK(workplace.run("out", moved) == 0);
  fs::rename(workplace.file("moved/photo1.png"), workplace.file("moved/other.png"));
  CHECK(workplace.run("out", moved) == 1);
  CHECK_THAT(workplace.printed("out"), ContainsSubstring("is of a run on other photographs"));
}

TEST_CASE("a run starts from the weights of a file", "[pretrain]") {
  const Workplace workplace;
  REQUIRE(workplace.run("first", "--steps 2 --seed 1") == 0);
  const std::string init = " --init " + workplace.file("first/checkpoint.pt").string();

  // With a rate of 0 the weights stay what they were in the file, resumed or not.
  const std::string still = "--steps 4 --save-every 2 --blr 0 --seed 2" + init;
  REQUIRE(workplace.run("second", still) == 0);
  CHECK_THAT(workplace.printed("second"), ContainsSubstring("starts from"));
  const auto given = weights(workplace.file("first") / "checkpoint.pt");
  const auto kept = weights(workplace.file("second") / "checkpoint.pt");
  for (const auto& [parameter, tensor] : given) CHECK(at::equal(tensor, kept.at(parameter)));
  REQUIRE(workplace.run("second", still + " --resume") == 0);
  CHECK_THAT(workplace.printed("second"), !ContainsSubstring("starts from"));

  // A larger image and another decoder: positions are resized, the encoder taken alone.
  const std::string other = "--steps 1 --blr 0 --image-size 48 --decoder-dim 24" + init;
  CHECK(workplace.run("third", other) == 1);
  CHECK_THAT(workplace.printed("third"), ContainsSubstring("of another shape"));
  REQUIRE(workplace.run("third", other + " --init-encoder-only") == 0);
  CHECK_THAT(workplace.printed("third"), ContainsSubstring("positions resized"));
  CHECK(at::equal(weights(workplace.file("third") / "checkpoint.pt").at("cls_token"),
                  given.at("cls_token")));
  CHECK(workplace.run("fourth", "--steps 1 --init-encoder-only") == 1);
  CHECK_THAT(workplace.printed("fourth"), ContainsSubstring("expected --init FILE with it"));
  CHECK(workplace.run("fourth", "--steps 1 --init nowhere.pth") == 1);
  CHECK_THAT(workplace.printed("fourth"), ContainsSubstring("nowhere.pth"));
}

TEST_CASE("wrong options end with a message", "[pretrain]") {
  const Workplace workplace;
  const auto fails = [&](const std::string& arguments, const std::string& message) {
    CHECK(workplace.run("wrong", arguments) != 0);
    CHECK_THAT(workplace.printed("wrong"), ContainsSubstring(message));
  };
  fails("--recipe none", "--recipe");
  fails("--mask-ratio 2", "--mask-ratio: expected a number from 0 to 1, got 2");
  fails("--workers -1", "--workers: expected a number >= 0, got -1");
  fails("--max-pixels 0", "--max-pixels: expected a number > 0, got 0");
  fails("--host lsmae --recipe mae_vit_base_300e", "is one of mae, not of lsmae");
  fails("--device xpu", "expected cpu, cuda, cuda:1");
  if (!torch::cuda::is_available()) fails("--device cuda", "LibTorch finds 0 CUDA devices");
  fails("--image-size 30", "expected image_size to be a multiple of patch_size, 8");
  fails("--frobnicate", "frobnicate");
  REQUIRE(workplace.run("out", "--steps 2") == 0);
  CHECK(workplace.run("out", "--steps 2") == 1);
  CHECK_THAT(workplace.printed("out"), ContainsSubstring("holds the checkpoint of an earlier run"));
  CHECK(workplace.run("out", "--steps 2 --overwrite") == 0);
  CHECK(workplace.run("out", "--steps 3 --resume") == 1);
  CHECK_THAT(workplace.printed("out"), ContainsSubstring("there: steps=2, here: steps=3"));
  CHECK(workplace.run("out", "--steps 2 --resume --fast-decode") == 1);
  CHECK_THAT(workplace.printed("out"),
             ContainsSubstring("there: fast-decode=false, here: fast-decode=true"));
  std::ofstream(workplace.file("wrong.toml")) << "bogus = 3\n";
  fails("--config " + workplace.file("wrong.toml").string(), "bogus");
  std::ofstream(workplace.file("out") / "checkpoint.pt") << "no checkpoint";
  CHECK(workplace.run("out", "--steps 2 --resume") == 1);
  CHECK_THAT(workplace.printed("out"), ContainsSubstring("is no checkpoint"));
  fs::remove_all(workplace.photos());
  fails("--steps 1", "is no folder");
}
