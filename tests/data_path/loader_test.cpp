// SPDX-License-Identifier: Apache-2.0
// The loader: one stream for all numbers of workers and ranks, its ends, its memory, hostile files.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <pixmim/simple_resized_crop.hpp>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <thread>

#include "data/decode.hpp"
#include "data/loader.hpp"
#include "data/source.hpp"
#include "data_path/files.hpp"
#include "data_path/tar.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

namespace fs = std::filesystem;

namespace {

constexpr int64_t side = 16;

data::Crop src() {
  return [src = pixmim::SimpleResizedCrop(side)](const at::Tensor& image, data::SampleId id,
                                                 const at::Tensor& slot) {
    src.apply_out(slot, image, src.sample(image.size(0), image.size(1), 0, id.index, id.epoch));
  };
}

at::Tensor picture(int64_t number) {
  const auto y = at::linspace(0, static_cast<double>(number + 2), 20 + number).view({-1, 1, 1});
  const auto x = at::linspace(0, 3, 25).view({1, -1, 1}) + at::arange(3);
  return (at::sin(x + y) * 100 + 120).to(at::kByte);
}

/// Photographs and one bad file, as files and as shards.
class Photographs {
 public:
  static constexpr int64_t count = 13;
  static constexpr int64_t bad = 5;

  Photographs() {
    std::map<std::string, data_path::Members> shards;
    for (int64_t i = 0; i < count; ++i) {
      const std::string name = std::to_string(100 + i) + ".png";
      data_path::write_bytes(files() / name, {'x'});
      if (i != bad) data::write_png(files() / name, picture(i));
      shards[std::to_string(i / 4) + ".tar"].emplace_back(name,
                                                          data_path::bytes_of(files() / name));
    }
    for (const auto& [name, members] : shards) data_path::write_tar(tars() / name, members);
  }
  fs::path files() const { return folder_.path() / "files"; }
  fs::path tars() const { return folder_.path() / "tars"; }

  std::shared_ptr<const data::Source> open(bool as_shards) const {
    return data::open_source(as_shards ? tars() : files(),
                             data::SourceOptions().cache_folder({}).shuffle_buffer(5));
  }

 private:
  support::TemporaryFolder folder_;
};

/// Samples of the stream by their place in it.
struct Stream {
  std::vector<int64_t> index;
  std::vector<int64_t> epoch;
  std::vector<at::Tensor> images;

  void add(const data::Batch& batch) {
    for (int64_t i = 0; i < batch.index.size(0); ++i) {
      index.push_back(batch.index[i].item<int64_t>());
      epoch.push_back(batch.epoch[i].item<int64_t>());
      images.push_back(batch.images[i].clone());
    }
  }
};

bool same(const Stream& a, const Stream& b) {
  if (a.index != b.index || a.epoch != b.epoch) return false;
  for (std::size_t i = 0; i < a.images.size(); ++i) {
    if (!at::equal(a.images[i], b.images[i])) return false;
  }
  return true;
}

Stream read(const std::shared_ptr<const data::Source>& source, const data::LoaderOptions& options,
            int batches) {
  data::Loader loader(source, src(), options);
  Stream stream;
  for (int i = 0; i < batches; ++i) stream.add(loader.next());
  return stream;
}

data::LoaderOptions options(int64_t batch) {
  return data::LoaderOptions(batch, side).seed(3);
}

/// A source whose photographs are all the same, or what a test makes of them.
class OnePhotograph : public data::Source {
 public:
  explicit OnePhotograph(uint64_t size = 1000) : size_(size) {
    support::TemporaryFolder folder;
    data::write_png(folder.path() / "a.png", picture(1));
    bytes_ = data_path::bytes_of(folder.path() / "a.png");
  }
  uint64_t size() const override { return size_; }
  std::string name(uint64_t index) const override { return "photograph " + std::to_string(index); }
  void read(uint64_t index, std::vector<uint8_t>& bytes) const override {
    if (on_read) on_read(index);
    bytes = bytes_;
    ++reads;
  }
  uint64_t fingerprint() const override { return 0; }
  std::vector<uint64_t> order(uint64_t /*seed*/, uint64_t /*epoch*/) const override {
    std::vector<uint64_t> result(size_);
    for (uint64_t i = 0; i < size_; ++i) result[i] = i;
    return result;
  }

  std::function<void(uint64_t index)> on_read;
  mutable std::atomic<int64_t> reads{0};

 private:
  uint64_t size_;
  std::vector<uint8_t> bytes_;
};

/// Waits for what other threads do; a minute is a deadlock.
template <typename Condition>
bool eventually(const Condition& condition) {
  for (int i = 0; i < 6000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

}  // namespace

TEST_CASE("every epoch of the stream is a permutation", "[data_path]") {
  const Photographs photographs;
  for (const bool shards : {false, true}) {
    const auto stream = read(photographs.open(shards), options(13), 4);
    // 13 photographs, of which one is bad: 12 an epoch.
    REQUIRE(stream.index.size() == 48);
    std::set<std::vector<int64_t>> orders;
    for (std::ptrdiff_t e = 0; e < 4; ++e) {
      const std::vector<int64_t> epoch(stream.index.begin() + e * 12,
                                       stream.index.begin() + (e + 1) * 12);
      CHECK(std::set<int64_t>(epoch.begin(), epoch.end()).size() == 12);
      for (std::size_t i = 0; i < 12; ++i) {
        CHECK(stream.epoch[static_cast<std::size_t>(e) * 12 + i] == e);
      }
      orders.insert(epoch);
    }
    CHECK(orders.size() == 4);
  }
}

TEST_CASE("the stream is the same for every number of workers and batches ahead", "[data_path]") {
  const Photographs photographs;
  for (const bool shards : {false, true}) {
    const auto source = photographs.open(shards);
    const auto expected = read(source, options(6).workers(0), 9);
    REQUIRE(expected.index.size() > 45);
    for (const int64_t workers : {1, 2, 16}) {
      for (const int64_t prefetch : {1, 3}) {
        CHECK(same(expected, read(source, options(6).workers(workers).prefetch(prefetch), 9)));
      }
    }
    CHECK(same(expected, read(source, options(6).cache_bytes(10000), 9)));
  }
}

TEST_CASE("ranks share the stream slot by slot", "[data_path]") {
  const Photographs photographs;
  for (const bool shards : {false, true}) {
    const auto source = photographs.open(shards);
    const auto expected = read(source, options(16).first(7), 5);
    for (const int64_t world : {2, 8}) {
      std::vector<std::unique_ptr<data::Loader>> ranks;
      for (int64_t rank = 0; rank < world; ++rank) {
        ranks.push_back(std::make_unique<data::Loader>(
            source, src(), options(16 / world).first(7).rank(rank).world(world).workers(rank % 3)));
      }
      Stream together;
      for (int batch = 0; batch < 5; ++batch) {
        for (auto& rank : ranks) together.add(rank->next());
      }
      CHECK(same(expected, together));
    }
  }
}

TEST_CASE("the stream goes on from any sample", "[data_path]") {
  const Photographs photographs;
  for (const bool shards : {false, true}) {
    const auto source = photographs.open(shards);
    const auto whole = read(source, options(1).workers(1), 60);
    for (uint64_t first = 0; first < 30; ++first) {
      // Batches of one sample: a bad one leaves a batch of none.
      const auto before = read(source, options(1).workers(0), static_cast<int>(first));
      auto after = read(source, options(5).first(first).workers(2), 6);
      REQUIRE(after.index.size() + before.index.size() <= whole.index.size());
      Stream expected;
      const std::size_t begin = before.index.size();
      for (std::size_t i = begin; i < begin + after.index.size(); ++i) {
        expected.index.push_back(whole.index[i]);
        expected.epoch.push_back(whole.epoch[i]);
        expected.images.push_back(whole.images[i]);
      }
      CHECK(same(expected, after));
    }
  }
}

TEST_CASE("fewer photographs than a batch are read again and again", "[data_path]") {
  const auto source = std::make_shared<OnePhotograph>(3);
  data::Loader loader(source, src(), options(8));
  const auto batch = loader.next();
  CHECK(batch.images.sizes() == at::IntArrayRef({8, 3, side, side}));
  CHECK(at::equal(batch.epoch, at::tensor({0, 0, 0, 1, 1, 1, 2, 2}, at::kLong)));
  CHECK(at::equal(batch.index, at::tensor({0, 1, 2, 0, 1, 2, 0, 1}, at::kLong)));
}

TEST_CASE("bad images are skipped and counted once, or stop a strict loader", "[data_path]") {
  const Photographs photographs;
  for (const int64_t workers : {0, 1, 3}) {
    const auto source = photographs.open(/*as_shards=*/false);
    data::Loader lenient(source, src(), options(13).workers(workers));
    for (int i = 0; i < 3; ++i) {
      const auto batch = lenient.next();
      CHECK(batch.images.size(0) == 12);
      CHECK(batch.images.is_contiguous());
      CHECK(batch.index.ne(Photographs::bad).all().item<bool>());
    }
    CHECK(lenient.bad_images().count() == 1);
    CHECK_THAT(lenient.bad_images().named().at(Photographs::bad),
               ContainsSubstring("105.png: it is neither a JPEG nor a PNG"));

    data::Loader strict(source, src(), options(13).workers(workers).strict(true));
    CHECK_THROWS_WITH(strict.next(), ContainsSubstring("105.png"));
    CHECK_THROWS_AS(strict.next(), std::logic_error);
  }
}

TEST_CASE("a batch without a sound image is undefined", "[data_path]") {
  auto source = std::make_shared<OnePhotograph>(2000);
  source->on_read = [](uint64_t) { throw data::BadImage("no"); };
  data::Loader loader(source, src(), options(1500).workers(2));
  const auto batch = loader.next();
  CHECK_FALSE(batch.images.defined());
  CHECK(batch.index.size(0) == 0);
  CHECK(batch.epoch.size(0) == 0);
  loader.next();
  // All are counted; not all are named.
  CHECK(loader.bad_images().count() == 2000);
  CHECK(loader.bad_images().named().size() == data::BadImages::named_at_most);
}

TEST_CASE("an error in a worker ends the others, and is thrown once", "[data_path]") {
  for (const int64_t workers : {0, 1, 4}) {
    auto source = std::make_shared<OnePhotograph>();
    source->on_read = [](uint64_t index) {
      if (index == 37) throw std::out_of_range("sample 37");
    };
    data::Loader loader(source, src(), options(4).workers(workers));
    const auto read_all = [&] {
      for (int i = 0; i < 1000; ++i) loader.next();
    };
    CHECK_THROWS_AS(read_all(), std::out_of_range);
    CHECK_THROWS_AS(loader.next(), std::logic_error);
    CHECK(source->reads < 37 + 3 * 4 + 4);
  }
}

TEST_CASE("a loader can be destroyed at any time", "[data_path]") {
  for (const int64_t workers : {0, 1, 3}) {
    for (const int batches : {0, 1, 5}) {
      // At once; and when all workers wait for room.
      for (const bool blocked : {false, true}) {
        auto source = std::make_shared<OnePhotograph>();
        data::Loader loader(source, src(), options(4).workers(workers).prefetch(2));
        for (int i = 0; i < batches; ++i) loader.next();
        if (blocked && workers > 0) {
          REQUIRE(eventually([&] { return source->reads == (batches + 2) * 4; }));
        }
      }
    }
  }
}

TEST_CASE("a loader ends after the samples in the making, not after the batch", "[data_path]") {
  auto source = std::make_shared<OnePhotograph>();
  std::atomic<bool> held{true};
  std::atomic<int> inside{0};
  source->on_read = [&](uint64_t) {
    ++inside;
    while (held) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  auto loader = std::make_unique<data::Loader>(source, src(), options(500).workers(2));
  REQUIRE(eventually([&] { return inside == 2; }));
  std::thread destroyer([&] { loader.reset(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  held = false;
  destroyer.join();
  CHECK(source->reads <= 20);
}

TEST_CASE("no more than the batches ahead are made", "[data_path]") {
  auto source = std::make_shared<OnePhotograph>();
  for (const int64_t workers : {1, 5}) {
    for (const int64_t prefetch : {1, 2, 4}) {
      source->reads = 0;
      data::Loader loader(source, src(), options(3).workers(workers).prefetch(prefetch));
      for (int delivered = 0; delivered < 4; ++delivered) {
        const int64_t most = (delivered + prefetch) * 3;
        REQUIRE(eventually([&] { return source->reads == most; }));
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        CHECK(source->reads == most);
        loader.next();
      }
      CHECK(loader.statistics().waited_for_room > 0);
    }
  }
}

TEST_CASE("waiting is measured on both sides", "[data_path]") {
  auto source = std::make_shared<OnePhotograph>();
  source->on_read = [](uint64_t) { std::this_thread::sleep_for(std::chrono::milliseconds(20)); };
  {
    data::Loader slow(source, src(), options(2).workers(1));
    for (int i = 0; i < 3; ++i) slow.next();
    CHECK(slow.statistics().waited_for_data >= 0.1);  // six samples of 20 ms, one after the other
    CHECK(slow.statistics().waited_for_room < slow.statistics().waited_for_data);
  }
  source->on_read = nullptr;
  source->reads = 0;
  data::Loader fast(source, src(), options(2).workers(3).prefetch(1));
  REQUIRE(eventually([&] { return source->reads == 2; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const double waited = fast.statistics().waited_for_room;  // while they still wait
  CHECK(waited >= 3 * 0.1);
}

TEST_CASE("a batch's memory is used again, but never under its user", "[data_path]") {
  auto source = std::make_shared<OnePhotograph>();
  std::atomic<int> number{0};
  const data::Crop numbered = [&](const at::Tensor&, data::SampleId id, const at::Tensor& slot) {
    slot.fill_(static_cast<double>(id.index));
  };
  for (const int64_t workers : {0, 2}) {
    data::Loader loader(source, numbered, options(4).workers(workers).prefetch(2));
    std::set<const void*> places;
    for (int i = 0; i < 50; ++i) places.insert(loader.next().images.const_data_ptr());
    CHECK(places.size() <= 4);

    // Kept: as a batch, as a view of it, and as what autograd keeps of it.
    std::vector<data::Batch> kept;
    std::vector<at::Tensor> views;
    for (int i = 0; i < 10; ++i) {
      kept.push_back(loader.next());
      views.push_back(loader.next().images.select(0, 1).slice(1, 3));
    }
    for (int i = 0; i < 20; ++i) loader.next();
    for (int i = 0; i < 10; ++i) {
      const auto k = static_cast<std::size_t>(i);
      const int64_t first = (50 + 2 * i) * 4;
      CHECK(at::equal(kept[k].index, at::arange(first, first + 4)));
      CHECK(at::equal(kept[k].images.select(1, 0).select(1, 0).select(1, 0),
                      at::arange(first, first + 4).to(at::kFloat)));
      CHECK(views[k].eq(static_cast<double>(first + 5)).all().item<bool>());
    }
  }
}

TEST_CASE("workers leave the caller's threads and gradients alone", "[data_path]") {
  const int before = at::get_num_threads();
  auto source = std::make_shared<OnePhotograph>();
  std::atomic<bool> serial{true};
  std::atomic<bool> gradients{false};
  const data::Crop crop = [&](const at::Tensor&, data::SampleId, const at::Tensor&) {
    if (at::get_num_threads() != 1) serial = false;
    if (c10::GradMode::is_enabled()) gradients = true;
  };
  data::Loader loader(source, crop, options(4).workers(2));
  for (int i = 0; i < 5; ++i) loader.next();
  CHECK(serial);
  CHECK_FALSE(gradients);
  CHECK(at::get_num_threads() == before);
  CHECK(c10::GradMode::is_enabled());
}

TEST_CASE("a loader's options are checked", "[data_path]") {
  auto source = std::make_shared<OnePhotograph>();
  for (const auto& wrong :
       {options(0), options(1).prefetch(0), options(1).workers(-1), options(1).rank(2).world(2),
        options(1).rank(-1), options(1).cache_bytes(-1),
        options(1).decode(data::DecodeOptions().max_pixels(0)),
        options(1).decode(data::DecodeOptions().fast_short_side(-1))}) {
    CHECK_THROWS_AS(data::Loader(source, src(), wrong), c10::Error);
  }
}
