// SPDX-License-Identifier: Apache-2.0
// A small masked-image-modelling trainer. after.cpp is the same with PixMIM in it.
#include <torch/torch.h>
#include <cstdio>

constexpr int64_t side = 64, patch = 8, dim = 64;
constexpr int64_t tokens = (side / patch) * (side / patch), pixels = patch * patch * 3;
using torch::Tensor;

// In place of your data set: photographs [H,W,3] of uint8, here waves of random direction.
struct Photos : torch::data::datasets::Dataset<Photos> {
  torch::data::Example<> get(size_t index) override {
    const auto wave = static_cast<double>(index % 13) + 1;
    const auto y = torch::linspace(0, wave, 90).view({-1, 1, 1});
    const auto x = torch::linspace(0, 14 - wave, 120).view({-1, 1}) + torch::arange(3) * 2;
    return {(torch::sin(y + x) * 120 + 128).to(torch::kByte), torch::tensor(0)};
  }
  torch::optional<size_t> size() const override { return 256; }
};

struct Mask {
  Tensor mask, ids_keep, ids_restore;
};
Mask random_mask(int64_t batch, int64_t length, double ratio) {
  const auto ids_shuffle = torch::rand({batch, length}).argsort(int64_t{1});
  const auto ids_restore = ids_shuffle.argsort(int64_t{1});
  const auto keep = static_cast<int64_t>(static_cast<double>(length) * (1 - ratio));
  return {ids_restore.ge(keep).to(torch::kFloat), ids_shuffle.slice(1, 0, keep), ids_restore};
}

Tensor random_crop(const Tensor& image) {
  const auto rows = image.narrow(0, torch::randint(image.size(0) - side + 1, {}), side);
  const auto crop = rows.narrow(1, torch::randint(image.size(1) - side + 1, {}), side);
  return (crop.permute({2, 0, 1}).to(torch::kFloat) / 255 - 0.45) / 0.23;
}

Tensor to_patches(const Tensor& images) {
  const auto patches = images.unfold(2, patch, patch).unfold(3, patch, patch);
  return patches.permute({0, 2, 3, 4, 5, 1}).reshape({images.size(0), tokens, pixels});
}

using Layer = torch::nn::TransformerEncoderLayer;
const auto layer = torch::nn::TransformerEncoderLayerOptions(dim, 4).dropout(0);
struct Model : torch::nn::Module {
  torch::nn::Linear embed = register_module("embed", torch::nn::Linear(pixels, dim));
  Tensor positions = register_parameter("positions", torch::randn({tokens, dim}) * 0.1);
  Layer encoder = register_module("encoder", Layer(layer));
  Layer decoder = register_module("decoder", Layer(layer));
  torch::nn::Linear predict = register_module("predict", torch::nn::Linear(dim, pixels));
  template <typename M>
  Tensor loss(const Tensor& images, const Tensor& target, const M& mask) {
    const auto wide = [](const Tensor& ids) { return ids.unsqueeze(2).expand({-1, -1, dim}); };
    auto x = (embed(to_patches(images)) + positions).gather(1, wide(mask.ids_keep));
    x = encoder(x.transpose(0, 1)).transpose(0, 1);
    x = torch::cat({x, torch::zeros({x.size(0), tokens - x.size(1), dim})}, 1);
    x = x.gather(1, wide(mask.ids_restore)) + positions;
    x = predict(decoder(x.transpose(0, 1)).transpose(0, 1));
    return ((x - to_patches(target)).square().mean(2) * mask.mask).sum() / mask.mask.sum();
  }
};

int main() {
  torch::manual_seed(0);
  auto photos = Photos().map(torch::data::transforms::TensorLambda<>(random_crop));
  auto loader = torch::data::make_data_loader(photos.map(torch::data::transforms::Stack<>()), 32);
  Model model;
  torch::optim::AdamW optimizer(model.parameters(), 3e-3);
  for (int epoch = 1; epoch <= 10; ++epoch) {
    for (auto& batch : *loader) {
      const auto mask = random_mask(batch.data.size(0), tokens, 0.75);
      const auto target = batch.data;
      const auto loss = model.loss(batch.data, target, mask);
      optimizer.zero_grad();
      loss.backward();
      optimizer.step();
      std::printf("epoch %d  loss %.4f\n", epoch, loss.item<double>());
    }
  }
}
