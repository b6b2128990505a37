// SPDX-License-Identifier: Apache-2.0
// Programs, as a user runs them.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace support {

inline std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Starts a command of the shell; what it prints, errors too, goes to the file `output`.
inline pid_t start_program(const std::string& command, const std::filesystem::path& output) {
  const std::string whole = command + " > " + output.string() + " 2>&1";
  const pid_t child = fork();
  if (child == 0) {
    execl("/bin/sh", "sh", "-c", whole.c_str(), static_cast<char*>(nullptr));
    _exit(127);
  }
  return child;
}

/// Waits for the end: the exit code, or minus the signal.
inline int wait_for_program(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

inline int run_program(const std::string& command, const std::filesystem::path& output) {
  return wait_for_program(start_program(command, output));
}

}  // namespace support
