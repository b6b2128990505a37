// SPDX-License-Identifier: Apache-2.0
// The basis engine's way through whole channels (a part of kernels.inl).

namespace pixmim {
inline namespace v0 {
namespace detail {
namespace PIXMIM_SIMD {

/// A channel -> its filtered rows.
template <typename Scalar, typename Element>
PIXMIM_TARGET inline void analyse(const BasisPlan<Scalar>& plan,
                                  const BasisScratch<Scalar>& scratch, const Element* image,
                                  int64_t stride, const Parts<Scalar>& rows, Traffic& traffic) {
  analyse_image(plan, scratch, image, stride, rows[0], traffic);
  analyse_rows(plan, scratch, rows[0], traffic);
  if (!plan.is_crossed()) {
    weigh_in_place(plan, scratch.coefficients);
  } else if (plan.has_imaginary_part()) {
    weigh_crossed<true>(plan, scratch.coefficients, scratch.weighed);
    synthesise_rows(plan, scratch, scratch.weighed[1], rows[1], traffic);
  } else {
    weigh_crossed<false>(plan, scratch.coefficients, scratch.weighed);
  }
  synthesise_rows(plan, scratch, scratch.weighed[0], rows[0], traffic);
}

/// A channel -> the filtered channel. `next` is the channel to come, or null.
template <bool magnitude, typename Scalar, typename Element, typename Result>
PIXMIM_TARGET inline void filter_channel(const BasisPlan<Scalar>& plan,
                                         const BasisScratch<Scalar>& scratch,
                                         const Epilogue& epilogue, const Element* image,
                                         const Element* next, Result* result) {
  constexpr int64_t slab = block_shape<Scalar>.columns;
  const int64_t width = plan.x.size;
  const int64_t pixels = plan.y.size * width;
  Traffic traffic;
  traffic.written =
      Upcoming(result, pixels * static_cast<int64_t>(sizeof(Result)), plan.analysis_steps(slab));
  if (next != nullptr) {
    traffic.read = Upcoming(next, pixels * static_cast<int64_t>(sizeof(Element)),
                            plan.analysis_steps(slab) + plan.synthesis_steps(slab));
  }
  analyse(plan, scratch, image, width, scratch.rows, traffic);
  for (int64_t x = 0; x < width; x += slab) {
    synthesise_slab<magnitude>(plan, scratch, scratch.rows, epilogue, x, std::min(slab, width - x),
                               slab, result + x, width, traffic);
  }
}

/// Channels begin .. end of a batch of images of `channels`; an epilogue a channel.
template <bool magnitude, typename Scalar, typename Element, typename Result>
PIXMIM_TARGET inline void filter_channels(const BasisPlan<Scalar>& plan,
                                          const BasisScratch<Scalar>& scratch,
                                          const Epilogue* epilogues, int64_t channels,
                                          const Element* images, Result* results, int64_t begin,
                                          int64_t end) {
  const int64_t pixels = plan.y.size * plan.x.size;
  for (int64_t i = begin; i < end; ++i) {
    const Element* image = images + i * pixels;
    filter_channel<magnitude>(plan, scratch, epilogues[i % channels], image,
                              i + 1 < end ? image + pixels : nullptr, results + i * pixels);
  }
}

}  // namespace PIXMIM_SIMD
}  // namespace detail
}  // namespace v0
}  // namespace pixmim
