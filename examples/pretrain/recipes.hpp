// SPDX-License-Identifier: Apache-2.0
// The published settings of each host, plain and with PixMIM.
#pragma once

#include <string>
#include <vector>

#include "pretrain/options.hpp"

namespace pretrain {

/// The options of a named recipe. Throws std::invalid_argument for another name.
Options recipe(const std::string& name);
std::vector<std::string> recipe_names();

/// mae, convmae, lsmae, mff, simmim: all that there is a recipe for.
std::vector<std::string> host_names();

/// A host's recipe with PixMIM: what --host alone takes.
std::string recipe_of_host(const std::string& host);

}  // namespace pretrain
