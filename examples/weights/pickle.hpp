// SPDX-License-Identifier: Apache-2.0
// Python's pickle format as data: nothing in it is ever called.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace weights {

/// Whether objects of the class module.name are dicts: those of Python, and those in which projects
/// keep configurations (yacs, addict, MMCV, MMEngine, ...).
bool is_dict_class(std::string_view module, std::string_view name);

/// A value of a pickle. What Python would make by a call stays a note of the call.
struct PickleValue {
  enum class Kind {
    None,
    Bool,       // integer
    Integer,    // integer
    Large,      // text: the little-endian bytes of an integer of more than 64 bits
    Float,      // number
    String,     // text
    Bytes,      // text
    Tuple,      // items
    List,       // items
    Set,        // items
    Dict,       // items: key, value, key, value; what its attributes were is left out
    Global,     // module, text: a class or a function, by name
    Call,       // callee(items), with the attributes `state`
    Object,     // an instance of the class callee, made of items, with the attributes `state`
    Persistent  // items: one value that stands for something outside the pickle
  };

  Kind kind = Kind::None;
  union {
    int64_t integer = 0;
    double number;
  };
  std::string_view module;
  std::string_view text;
  std::vector<const PickleValue*> items;
  const PickleValue* callee = nullptr;
  const PickleValue* state = nullptr;

  bool is(Kind wanted) const { return kind == wanted; }
  /// Of a Dict: the last value of that key; null if there is none.
  const PickleValue* find(std::string_view key) const;
  /// "a list", "argparse.Namespace": for messages.
  std::string description() const;
  /// Of a Global: module.text.
  std::string qualified_name() const;
};

/// The values of one pickle; they may form cycles, and go with the Pickle.
class Pickle {
 public:
  /// Whether the class or function module.name may stand in the pickle. All others are refused by
  /// name. Those that may are noted, not called.
  using Allowed = std::function<bool(std::string_view module, std::string_view name)>;

  /// Reads the opcodes that Python's pickler writes in protocols 2 to 5; throws c10::Error for all
  /// others, and for what is malformed. `bytes` has to stay where it is. Memory and time are bounded
  /// by the size of `bytes`, and by 4 million values: whatever refers to what, it is not copied more
  /// often than that.
  Pickle(std::string_view bytes, const Allowed& allowed);
  Pickle(const Pickle&) = delete;
  Pickle& operator=(const Pickle&) = delete;

  const PickleValue& value() const { return *value_; }
  /// All Persistent values, in the order of the pickle.
  const std::vector<const PickleValue*>& persistent() const { return persistent_; }
  /// How many of the bytes it took: another pickle may follow.
  std::size_t size() const { return size_; }

 private:
  class Machine;

  std::deque<PickleValue> values_;
  const PickleValue* value_ = nullptr;
  std::vector<const PickleValue*> persistent_;
  std::size_t size_ = 0;
};

}  // namespace weights
