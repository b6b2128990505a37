// SPDX-License-Identifier: Apache-2.0
// The bodies of CropTransform.

#include "pixmim/detail/crop/crop.hpp"

namespace pixmim {
inline namespace v0 {

template <typename Crop>
std::vector<CropWindow> CropTransform<Crop>::sample_each(
    const std::vector<at::Tensor>& photos) const {
  std::vector<CropWindow> windows;
  windows.reserve(photos.size());
  for (const at::Tensor& photo : photos) {
    windows.push_back(self().sample(photo.size(0), photo.size(1)));
  }
  return windows;
}

template <typename Crop>
at::Tensor CropTransform<Crop>::crop(const at::Tensor& photo, const CropWindow& window) const {
  const auto geometry = self().geometry(photo.size(0), photo.size(1), window);
  at::Tensor out = cropper_->empty(photo);
  cropper_->crop(photo, geometry, out);
  return out;
}

template <typename Crop>
at::Tensor CropTransform<Crop>::crop(const std::vector<at::Tensor>& photos,
                                     const std::vector<CropWindow>& windows) const {
  const auto geometries = cropper_->geometries(photos, windows, self());
  at::Tensor out = cropper_->empty(photos);
  cropper_->crop(photos, geometries, out);
  return out;
}

template <typename Crop>
at::Tensor CropTransform<Crop>::operator()(const at::Tensor& image) const {
  const at::Tensor photo = cropper_->photo(image);
  return crop(photo, self().sample(photo.size(0), photo.size(1)));
}

template <typename Crop>
at::Tensor CropTransform<Crop>::operator()(const std::vector<at::Tensor>& images) const {
  const auto photos = cropper_->photos(images);
  return crop(photos, sample_each(photos));
}

template <typename Crop>
at::Tensor CropTransform<Crop>::apply(const at::Tensor& image, const CropWindow& window) const {
  return crop(cropper_->photo(image), window);
}

template <typename Crop>
at::Tensor CropTransform<Crop>::apply(const std::vector<at::Tensor>& images,
                                      const std::vector<CropWindow>& windows) const {
  return crop(cropper_->photos(images), windows);
}

template <typename Crop>
void CropTransform<Crop>::apply_out(const at::Tensor& out, const at::Tensor& image,
                                    const CropWindow& window) const {
  const at::Tensor photo = cropper_->photo(image);
  cropper_->crop(photo, self().geometry(photo.size(0), photo.size(1), window), out);
}

template <typename Crop>
void CropTransform<Crop>::apply_out(const at::Tensor& out, const std::vector<at::Tensor>& images,
                                    const std::vector<CropWindow>& windows) const {
  const auto photos = cropper_->photos(images);
  cropper_->crop(photos, cropper_->geometries(photos, windows, self()), out);
}

}  // namespace v0
}  // namespace pixmim
