// SPDX-License-Identifier: Apache-2.0
// The tables of names.cpp: what each project calls each parameter.
#pragma once

#include <string>
#include <vector>

namespace weights {

/// A name in another scheme; three of them hold the thirds of the first dimension.
using Theirs = std::vector<std::string>;

/// Names, segment by segment: '#' is a number, '*' all that is left.
struct Rule {
  std::string native;
  Theirs theirs;
  std::vector<Theirs> also_read = {};  // other spellings that are found in files
  std::string only_beside = {};        // of files with this name alone
};

/// One scheme's names of the two kinds of encoder that have them in other projects.
struct Scheme {
  std::string name;
  std::string checkpoint_key;
  std::vector<Rule> vit;   // MAE, LSMAE, MFF
  std::vector<Rule> beit;  // SimMIM: no key bias, relative positions, layer scale. May be empty
};

const std::vector<Scheme>& schemes();

}  // namespace weights
