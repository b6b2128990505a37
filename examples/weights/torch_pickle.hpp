// SPDX-License-Identifier: Apache-2.0
// What torch.save's pickles say about tensors.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "weights/mapped_file.hpp"
#include "weights/pickle.hpp"
#include "weights/tensors.hpp"

namespace weights {

/// Where the bytes of a storage are.
struct StoragePlace {
  uint64_t offset = 0;
  uint64_t size = 0;  // bytes
};

/// What a pickle says about a storage: ('storage', class, key, device, length, ...).
struct StorageClaim {
  std::string key;
  at::ScalarType dtype = at::kByte;  // of the class; kByte for untyped ones
  uint64_t bytes = 0;
};

/// The claim of a Persistent value. Throws c10::Error if it is none.
StorageClaim storage_claim(const PickleValue& value);

/// "float32" of kFloat. Throws c10::Error for dtypes that are not plain numbers.
std::string torch_dtype_name(at::ScalarType dtype);

/// The list of what a file of weights may name.
bool may_stand_in_weights(std::string_view module, std::string_view name);

/// The tensors of the state dict within `root` (see read_torch_file). `find` tells where a claimed
/// storage is, and throws if there is none.
Weights state_dict_of(const PickleValue& root, const std::shared_ptr<MappedFile>& file,
                      const std::function<StoragePlace(const StorageClaim&)>& find);

}  // namespace weights
