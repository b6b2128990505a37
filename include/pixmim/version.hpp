// SPDX-License-Identifier: Apache-2.0
// The version of pixmim: CMake reads it here, and nothing else holds a copy.
#pragma once

#define PIXMIM_VERSION_MAJOR 0
#define PIXMIM_VERSION_MINOR 1
#define PIXMIM_VERSION_PATCH 0
