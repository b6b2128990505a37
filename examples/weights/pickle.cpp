// SPDX-License-Identifier: Apache-2.0
#include "weights/pickle.hpp"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <utility>

namespace weights {

using Kind = PickleValue::Kind;

bool is_dict_class(std::string_view module, std::string_view name) {
  static const std::set<std::pair<std::string_view, std::string_view>> classes = {
      {"collections", "OrderedDict"},
      {"collections", "defaultdict"},
      {"addict.addict", "Dict"},
      {"easydict", "EasyDict"},
      {"yacs.config", "CfgNode"},
      {"fvcore.common.config", "CfgNode"},
      {"detectron2.config.config", "CfgNode"},
      {"mmcv.utils.config", "ConfigDict"},
      {"mmengine.config.config", "ConfigDict"},
  };
  return classes.count({module, name}) > 0;
}

const PickleValue* PickleValue::find(std::string_view key) const {
  for (std::size_t i = items.size(); i >= 2; i -= 2) {
    if (items[i - 2]->is(Kind::String) && items[i - 2]->text == key) return items[i - 1];
  }
  return nullptr;
}

std::string PickleValue::qualified_name() const {
  return std::string(module) + "." + std::string(text);
}

std::string PickleValue::description() const {
  switch (kind) {
    case Kind::None:
      return "None";
    case Kind::Bool:
      return "a bool";
    case Kind::Integer:
    case Kind::Large:
      return "an int";
    case Kind::Float:
      return "a float";
    case Kind::String:
      return "a str";
    case Kind::Bytes:
      return "bytes";
    case Kind::Tuple:
      return "a tuple";
    case Kind::List:
      return "a list";
    case Kind::Set:
      return "a set";
    case Kind::Dict:
      return "a dict";
    case Kind::Global:
      return qualified_name();
    case Kind::Call:
    case Kind::Object:
      return callee->qualified_name();
    case Kind::Persistent:
      return "a storage";
  }
  return "nothing";
}

/// The stack machine that a pickle is a program of.
class Pickle::Machine {
 public:
  Machine(Pickle& pickle, std::string_view bytes, const Allowed& allowed)
      : pickle_(pickle), bytes_(bytes), allowed_(allowed) {}

  void run() {
    TORCH_CHECK(
        !bytes_.empty() && static_cast<uint8_t>(bytes_[0]) == 0x80,
        "its pickle does not begin with a protocol: it is no pickle of protocol 2 or later");
    while (!step()) {
    }
    pickle_.size_ = place_;
  }

 private:
  static constexpr std::size_t most_values = std::size_t{1} << 22;

  // --- bytes ---

  std::string_view take(uint64_t count) {
    TORCH_CHECK(count <= bytes_.size() - place_, "its pickle is truncated: ", count,
                " bytes were due at byte ", place_, " of ", bytes_.size());
    const std::string_view taken = bytes_.substr(place_, count);
    place_ += count;
    return taken;
  }

  template <typename Number>
  Number take_number() {
    Number number;
    std::memcpy(&number, take(sizeof number).data(), sizeof number);
    return number;
  }

  std::string_view take_line() {
    const std::size_t end = bytes_.find('\n', place_);
    TORCH_CHECK(end != std::string_view::npos, "its pickle is truncated: a name has no end");
    const std::string_view line = bytes_.substr(place_, end - place_);
    place_ = end + 1;
    return line;
  }

  // --- values ---

  PickleValue& make(Kind kind) {
    TORCH_CHECK(pickle_.values_.size() < most_values, "its pickle has more than ", most_values,
                " values");
    pickle_.values_.emplace_back();
    pickle_.values_.back().kind = kind;
    return pickle_.values_.back();
  }

  // Values are changed by this machine alone, and all are its own.
  static PickleValue& changeable(const PickleValue* value) {
    return const_cast<PickleValue&>(*value);
  }

  void push(const PickleValue& value) { stack_.push_back(&value); }

  void push_integer(int64_t integer) {
    auto& value = make(Kind::Integer);
    value.integer = integer;
    push(value);
  }

  void push_bool(bool truth) {
    auto& value = make(Kind::Bool);
    value.integer = truth ? 1 : 0;
    push(value);
  }

  void push_text(Kind kind, std::string_view text) {
    auto& value = make(kind);
    value.text = text;
    push(value);
  }

  void push_long(std::string_view digits) {
    if (digits.size() > sizeof(int64_t)) return push_text(Kind::Large, digits);
    const bool negative = !digits.empty() && static_cast<uint8_t>(digits.back()) >= 0x80;
    uint64_t number = negative ? ~uint64_t{0} : 0;
    std::memcpy(&number, digits.data(), digits.size());
    push_integer(static_cast<int64_t>(number));
  }

  /// Nothing below the last mark may be reached.
  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }

  const PickleValue* pop() {
    TORCH_CHECK(stack_.size() > floor(), "its pickle takes a value from an empty stack at byte ",
                place_);
    const PickleValue* value = stack_.back();
    stack_.pop_back();
    return value;
  }

  const PickleValue* top() const {
    TORCH_CHECK(stack_.size() > floor(), "its pickle needs a value on an empty stack at byte ",
                place_);
    return stack_.back();
  }

  std::vector<const PickleValue*> pop_to_mark() {
    TORCH_CHECK(!marks_.empty(), "its pickle lacks a mark at byte ", place_);
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<const PickleValue*> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }

  void push_items(Kind kind, std::vector<const PickleValue*> items) {
    auto& value = make(kind);
    value.items = std::move(items);
    push(value);
  }

  void push_tuple(std::size_t count) {
    std::vector<const PickleValue*> items(count);
    for (std::size_t i = count; i > 0; --i) items[i - 1] = pop();
    push_items(Kind::Tuple, std::move(items));
  }

  void append(Kind kind, const std::vector<const PickleValue*>& items) {
    const PickleValue* target = top();
    TORCH_CHECK(target->is(kind), "its pickle adds to ", target->description(),
                " as if it were a list, set or dict, at byte ", place_);
    TORCH_CHECK(kind != Kind::Dict || items.size() % 2 == 0,
                "its pickle has a key without a value");
    auto& all = changeable(target).items;
    all.insert(all.end(), items.begin(), items.end());
  }

  void remember(uint32_t index) { memo_[index] = top(); }

  void recall(uint32_t index) {
    const auto found = memo_.find(index);
    TORCH_CHECK(found != memo_.end(), "its pickle asks for value ", index,
                " of its memo, which is not there");
    stack_.push_back(found->second);
  }

  // --- names and what would be calls ---

  void push_global(std::string_view module, std::string_view name) {
    constexpr std::size_t longest = 1024;
    TORCH_CHECK(module.size() <= longest && name.size() <= longest, "its pickle names a class by ",
                std::max(module.size(), name.size()), " letters, more than ", longest);
    TORCH_CHECK(
        allowed_(module, name), "it holds ", std::string(module), ".", std::string(name),
        ", which is not on the list of what weights need: nothing was executed. If the file is "
        "of a source that you trust, load it in Python and save its state_dict alone");
    auto& value = make(Kind::Global);
    value.module = module;
    value.text = name;
    push(value);
  }

  const PickleValue* pop_global(const char* what) {
    const PickleValue* value = pop();
    TORCH_CHECK(value->is(Kind::Global), "its pickle has ", what, " of ", value->description(),
                ", which is no class or function, at byte ", place_);
    return value;
  }

  const PickleValue* pop_tuple() {
    const PickleValue* value = pop();
    TORCH_CHECK(value->is(Kind::Tuple), "its pickle gives arguments as ", value->description(),
                ", not as a tuple, at byte ", place_);
    return value;
  }

  void note(Kind kind, const PickleValue* callee, const PickleValue* arguments) {
    if (is_dict_class(callee->module, callee->text)) {
      // An object is made empty, whatever it is made with, and a defaultdict with its factory.
      const bool filled =
          kind == Kind::Call && callee->text != "defaultdict" && !arguments->items.empty();
      return push_items(Kind::Dict,
                        filled ? pairs(*arguments->items[0]) : std::vector<const PickleValue*>());
    }
    if (callee->text == "getattr") {
      TORCH_CHECK(arguments->items.size() == 2 && arguments->items[0]->is(Kind::Global) &&
                      arguments->items[0]->text != "getattr" &&
                      arguments->items[1]->is(Kind::String),
                  "its pickle asks for an attribute of ",
                  arguments->items.empty() ? "nothing" : arguments->items[0]->description(),
                  ": only methods of classes may be named");
    }
    auto& value = make(kind);
    value.callee = callee;
    value.items = arguments->items;
    check_amplification(value.items.size());
    push(value);
  }

  /// What a dict is made of: another one, or, as Python 2 wrote it, pairs.
  std::vector<const PickleValue*> pairs(const PickleValue& source) {
    check_amplification(source.items.size());
    if (source.is(Kind::Dict)) return source.items;
    std::vector<const PickleValue*> items;
    for (const PickleValue* pair : source.items) {
      TORCH_CHECK(pair->items.size() == 2, "its pickle has a dict of no pairs");
      items.insert(items.end(), pair->items.begin(), pair->items.end());
    }
    return items;
  }

  /// A tuple may be the arguments of many calls: the copies must stay in proportion, too.
  void check_amplification(std::size_t copied) {
    copied_ += copied;
    TORCH_CHECK(copied_ <= most_values, "its pickle repeats the same arguments too often");
  }

  void set_state() {
    const PickleValue* state = pop();
    const PickleValue* target = top();
    if (target->is(Kind::Dict)) return;  // attributes of a dict class: state_dict's _metadata
    TORCH_CHECK(target->is(Kind::Call) || target->is(Kind::Object), "its pickle gives ",
                target->description(), " attributes, at byte ", place_);
    changeable(target).state = state;
  }

  // --- the opcodes ---

  /// One opcode; true at the end.
  bool step() {
    const auto opcode = static_cast<uint8_t>(take(1)[0]);
    switch (opcode) {
      case 0x80: {  // PROTO
        const auto protocol = static_cast<uint8_t>(take(1)[0]);
        TORCH_CHECK(protocol >= 2 && protocol <= 5, "its pickle has protocol ", int{protocol},
                    "; 2 to 5 can be read");
        break;
      }
      case 0x95:  // FRAME: a hint to readers of streams
        take(8);
        break;
      case '.':  // STOP
        pickle_.value_ = pop();
        return true;

      case 'N':  // NONE
        push(make(Kind::None));
        break;
      case 0x88:  // NEWTRUE
        push_bool(true);
        break;
      case 0x89:  // NEWFALSE
        push_bool(false);
        break;
      case 'J':  // BININT
        push_integer(take_number<int32_t>());
        break;
      case 'K':  // BININT1
        push_integer(take_number<uint8_t>());
        break;
      case 'M':  // BININT2
        push_integer(take_number<uint16_t>());
        break;
      case 0x8a:  // LONG1
        push_long(take(take_number<uint8_t>()));
        break;
      case 0x8b: {  // LONG4
        const auto count = take_number<int32_t>();
        TORCH_CHECK(count >= 0, "its pickle has an integer of ", count, " bytes");
        push_long(take(static_cast<uint64_t>(count)));
        break;
      }
      case 'G': {  // BINFLOAT, big-endian
        uint64_t bits = 0;
        for (const char byte : take(8)) bits = bits << 8 | static_cast<uint8_t>(byte);
        auto& value = make(Kind::Float);
        std::memcpy(&value.number, &bits, sizeof bits);
        push(value);
        break;
      }
      case 0x8c:  // SHORT_BINUNICODE
        push_text(Kind::String, take(take_number<uint8_t>()));
        break;
      case 'X':  // BINUNICODE
        push_text(Kind::String, take(take_number<uint32_t>()));
        break;
      case 0x8d:  // BINUNICODE8
        push_text(Kind::String, take(take_number<uint64_t>()));
        break;
      case 'U':  // SHORT_BINSTRING: a str of Python 2
        push_text(Kind::String, take(take_number<uint8_t>()));
        break;
      case 'T': {  // BINSTRING
        const auto count = take_number<int32_t>();
        TORCH_CHECK(count >= 0, "its pickle has a text of ", count, " bytes");
        push_text(Kind::String, take(static_cast<uint64_t>(count)));
        break;
      }
      case 'C':  // SHORT_BINBYTES
        push_text(Kind::Bytes, take(take_number<uint8_t>()));
        break;
      case 'B':  // BINBYTES
        push_text(Kind::Bytes, take(take_number<uint32_t>()));
        break;
      case 0x8e:  // BINBYTES8
      case 0x96:  // BYTEARRAY8
        push_text(Kind::Bytes, take(take_number<uint64_t>()));
        break;

      case '(':  // MARK
        marks_.push_back(stack_.size());
        break;
      case '0':  // POP
        if (stack_.size() == floor() && !marks_.empty()) {
          marks_.pop_back();
        } else {
          pop();
        }
        break;
      case '1':  // POP_MARK
        pop_to_mark();
        break;
      case '2':  // DUP
        stack_.push_back(top());
        break;

      case ')':  // EMPTY_TUPLE
        push(make(Kind::Tuple));
        break;
      case 't':  // TUPLE
        push_items(Kind::Tuple, pop_to_mark());
        break;
      case 0x85:  // TUPLE1
        push_tuple(1);
        break;
      case 0x86:  // TUPLE2
        push_tuple(2);
        break;
      case 0x87:  // TUPLE3
        push_tuple(3);
        break;
      case ']':  // EMPTY_LIST
        push(make(Kind::List));
        break;
      case 'a': {  // APPEND
        const PickleValue* item = pop();
        append(Kind::List, {item});
        break;
      }
      case 'e': {  // APPENDS
        const auto items = pop_to_mark();
        append(Kind::List, items);
        break;
      }
      case '}':  // EMPTY_DICT
        push(make(Kind::Dict));
        break;
      case 's': {  // SETITEM
        const PickleValue* item = pop();
        const PickleValue* key = pop();
        append(Kind::Dict, {key, item});
        break;
      }
      case 'u': {  // SETITEMS
        const auto items = pop_to_mark();
        append(Kind::Dict, items);
        break;
      }
      case 0x8f:  // EMPTY_SET
        push(make(Kind::Set));
        break;
      case 0x90: {  // ADDITEMS
        const auto items = pop_to_mark();
        append(Kind::Set, items);
        break;
      }
      case 0x91:  // FROZENSET
        push_items(Kind::Set, pop_to_mark());
        break;

      case 'q':  // BINPUT
        remember(take_number<uint8_t>());
        break;
      case 'r':  // LONG_BINPUT
        remember(take_number<uint32_t>());
        break;
      case 0x94:  // MEMOIZE
        remember(static_cast<uint32_t>(memo_.size()));
        break;
      case 'h':  // BINGET
        recall(take_number<uint8_t>());
        break;
      case 'j':  // LONG_BINGET
        recall(take_number<uint32_t>());
        break;

      case 'c': {  // GLOBAL
        const std::string_view module = take_line();
        push_global(module, take_line());
        break;
      }
      case 0x93: {  // STACK_GLOBAL
        const PickleValue* name = pop();
        const PickleValue* module = pop();
        TORCH_CHECK(name->is(Kind::String) && module->is(Kind::String),
                    "its pickle names a class by ", module->description(), " and ",
                    name->description());
        push_global(module->text, name->text);
        break;
      }
      case 'R': {  // REDUCE
        const PickleValue* arguments = pop_tuple();
        note(Kind::Call, pop_global("a call"), arguments);
        break;
      }
      case 0x81: {  // NEWOBJ
        const PickleValue* arguments = pop_tuple();
        note(Kind::Object, pop_global("an instance"), arguments);
        break;
      }
      case 0x92: {  // NEWOBJ_EX
        pop();      // arguments by name
        const PickleValue* arguments = pop_tuple();
        note(Kind::Object, pop_global("an instance"), arguments);
        break;
      }
      case 'b':  // BUILD
        set_state();
        break;
      case 'Q':  // BINPERSID
        push_items(Kind::Persistent, {pop()});
        pickle_.persistent_.push_back(stack_.back());
        break;

      default: {
        constexpr char digits[] = "0123456789abcdef";
        C10_THROW_ERROR(Error, c10::str("its pickle has the opcode 0x", digits[opcode >> 4],
                                        digits[opcode & 15], " at byte ", place_ - 1,
                                        ", which torch.save does not write"));
      }
    }
    return false;
  }

  Pickle& pickle_;
  std::string_view bytes_;
  const Allowed& allowed_;
  std::size_t place_ = 0;
  std::size_t copied_ = 0;
  std::vector<const PickleValue*> stack_;
  std::vector<std::size_t> marks_;
  std::map<uint32_t, const PickleValue*> memo_;  // no hash: a file may choose colliding keys
};

Pickle::Pickle(std::string_view bytes, const Allowed& allowed) {
  Machine(*this, bytes, allowed).run();
}

}  // namespace weights
