// SPDX-License-Identifier: Apache-2.0
// Whatever happens to the files of the cache, what is found is what was stored.
#include <sys/wait.h>
#include <pixmim/detail/cuda/kernel_cache.hpp>

#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "cuda_delivery/delivered.hpp"
#include "support/catch.hpp"

using namespace delivered;
namespace fs = std::filesystem;

namespace {

std::string random_text(std::size_t size, unsigned seed) {
  std::string text(size, '\0');
  for (auto& byte : text) {
    seed = seed * 1664525u + 1013904223u;
    byte = static_cast<char>(seed >> 24);
  }
  return text;
}

const CompiledKernel code{"lowered", random_text(3000, 1)};

bool holds(const KernelCache& cache, const std::string& identity, const CompiledKernel& expected) {
  const auto found = cache.find(identity);
  return found && found->code == expected.code && found->lowered_name == expected.lowered_name;
}

fs::path only_file_of(const std::string& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    files.push_back(entry.path());
  }
  REQUIRE(files.size() == 1);
  return files.front();
}

std::string content_of(const fs::path& file) {
  std::ostringstream content;
  content << std::ifstream(file, std::ios::binary).rdbuf();
  return content.str();
}

void write(const fs::path& file, const std::string& content) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << content;
}

/// Sets variables of the environment until the end of the test.
class Environment {
 public:
  explicit Environment(const std::map<std::string, std::optional<std::string>>& variables) {
    for (const auto& [name, value] : variables) {
      const char* before = std::getenv(name.c_str());
      before_[name] = before == nullptr ? std::nullopt : std::optional<std::string>(before);
      set(name, value);
    }
  }
  ~Environment() {
    for (const auto& [name, value] : before_) {
      set(name, value);
    }
  }

 private:
  static void set(const std::string& name, const std::optional<std::string>& value) {
    value ? ::setenv(name.c_str(), value->c_str(), 1) : ::unsetenv(name.c_str());
  }
  std::map<std::string, std::optional<std::string>> before_;
};

}  // namespace

TEST_CASE("a kernel is found by its identity, in a folder that is made", "[cuda_delivery]") {
  const TemporaryFolder folder;
  const KernelCache cache(folder.path() + "/a/b");
  CHECK_FALSE(cache.find("one"));
  cache.store("one", code);
  CHECK(holds(cache, "one", code));
  CHECK(holds(KernelCache(folder.path() + "/a/b"), "one", code));
  CHECK_FALSE(cache.find("two"));
  CHECK((fs::status(folder.path() + "/a/b").permissions() & fs::perms::all) ==
        fs::perms::owner_all);
  const CompiledKernel empty{"", ""};
  cache.store("two", empty);
  CHECK(holds(cache, "two", empty));
  CHECK(holds(cache, "one", code));
}

TEST_CASE("a damaged file is not found, and is replaced", "[cuda_delivery]") {
  const TemporaryFolder folder;
  const KernelCache cache(folder.path());
  cache.store("one", code);
  const auto file = only_file_of(folder.path());
  const auto whole = content_of(file);
  for (std::size_t i = 0; i < whole.size(); i += i < 200 || i + 100 > whole.size() ? 1 : 97) {
    auto damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    write(file, damaged);
    CHECK_FALSE(cache.find("one"));
    write(file, whole.substr(0, i));
    CHECK_FALSE(cache.find("one"));
  }
  write(file, whole + "x");
  CHECK_FALSE(cache.find("one"));
  cache.store("one", code);
  CHECK(holds(cache, "one", code));
  CHECK(content_of(only_file_of(folder.path())) == whole);
}

TEST_CASE("a file of another kernel is not taken for this one", "[cuda_delivery]") {
  const TemporaryFolder folder;
  const KernelCache cache(folder.path());
  cache.store("one", code);
  const auto one = only_file_of(folder.path());
  const auto kept = content_of(one);
  fs::remove(one);
  cache.store("two", code);
  write(only_file_of(folder.path()), kept);
  CHECK_FALSE(cache.find("two"));
}

TEST_CASE("a folder that cannot be used is no error", "[cuda_delivery]") {
  const TemporaryFolder folder;
  write(folder.path() + "/file", "");
  for (const auto& path : {std::string(), std::string("/proc/none/pixmim"), folder.path() + "/file",
                           folder.path() + "/file/below"}) {
    const KernelCache cache(path);
    CHECK_NOTHROW(cache.store("one", code));
    CHECK_FALSE(cache.find("one"));
  }
  // A folder in the way of the file: nothing half written stays behind.
  const KernelCache cache(folder.path() + "/cache");
  cache.store("one", code);
  const auto file = only_file_of(folder.path() + "/cache");
  fs::remove(file);
  fs::create_directories(file / "in_the_way");
  CHECK_NOTHROW(cache.store("one", code));
  CHECK_FALSE(cache.find("one"));
  CHECK(only_file_of(folder.path() + "/cache") == file);
}

TEST_CASE("a read-only folder is read", "[cuda_delivery]") {
  const TemporaryFolder folder;
  const KernelCache cache(folder.path());
  cache.store("one", code);
  fs::permissions(folder.path(), fs::perms::owner_read | fs::perms::owner_exec);
  CHECK_NOTHROW(cache.store("two", code));  // root writes all the same
  CHECK(holds(cache, "one", code));
  fs::permissions(folder.path(), fs::perms::owner_all);
}

TEST_CASE("processes and threads share a folder", "[cuda_delivery]") {
  const TemporaryFolder folder;
  const auto rounds = [&folder](int number) {
    const KernelCache cache(folder.path());
    for (unsigned i = 0; i < 200; ++i) {
      const auto identity = std::to_string(i % 5);
      // What an identity stands for is the same for all.
      const CompiledKernel kernel{"name" + identity, random_text(20000 + i % 5, i % 5)};
      if ((i + static_cast<unsigned>(number)) % 2 == 0) {
        cache.store(identity, kernel);
      } else if (const auto found = cache.find(identity);
                 found &&
                 (found->code != kernel.code || found->lowered_name != kernel.lowered_name)) {
        return false;
      }
    }
    return true;
  };
  std::vector<pid_t> children;
  for (int process = 0; process < 2; ++process) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::_exit(rounds(process) ? 0 : 1);
    }
    children.push_back(child);
  }
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int thread = 0; thread < 2; ++thread) {
    threads.emplace_back([&, thread] { wrong += rounds(thread) ? 0 : 1; });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  CHECK(wrong == 0);
  for (const pid_t child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  }
  CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 5);
}

TEST_CASE("the folder is the one that the environment names", "[cuda_delivery]") {
  const auto folder = [](std::optional<std::string> chosen, std::optional<std::string> caches,
                         std::optional<std::string> home) {
    const Environment environment(
        {{"PIXMIM_CACHE_DIR", chosen}, {"XDG_CACHE_HOME", caches}, {"HOME", home}});
    return kernel_cache_folder();
  };
  CHECK(folder("/a", "/b", "/c") == "/a");
  CHECK(folder("", "/b", "/c") == "");
  CHECK(folder(std::nullopt, "/b", "/c") == "/b/pixmim");
  CHECK(folder(std::nullopt, "relative", "/c") == "/c/.cache/pixmim");
  CHECK(folder(std::nullopt, std::nullopt, "/c") == "/c/.cache/pixmim");
  CHECK(folder(std::nullopt, std::nullopt, std::nullopt) == "");
}
