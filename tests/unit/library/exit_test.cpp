// SPDX-License-Identifier: LGPL-2.1-or-later
// What happens at exit in a program that merely has libjunctor loaded.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "common/end_reason.h"

namespace {

/// Who made each thread-specific key: the base address of its library. Plain memory, for it is used
/// before the first constructor and after the last destructor of this program.
std::array<void *, 1024> makers;

void *library_of(void *address) {
  Dl_info info{};
  return dladdr(address, &info) != 0 ? info.dli_fbase : nullptr;
}

/// The file of the library that begins there.
std::string_view name_of(void *base) {
  Dl_info info{};
  return base && dladdr(base, &info) != 0 ? info.dli_fname : "";
}

template <class Function>
Function *next(const char *name) {
  return reinterpret_cast<Function *>(dlsym(RTLD_NEXT, name));
}

}  // namespace

// These stand before the C library's for every library of the program.
extern "C" int pthread_key_create(pthread_key_t *key, void (*destructor)(void *)) {
  const int result = next<decltype(pthread_key_create)>("pthread_key_create")(key, destructor);
  if (result == 0 && *key < makers.size()) makers[*key] = library_of(__builtin_return_address(0));
  return result;
}

extern "C" int pthread_key_delete(pthread_key_t key) {
  Dl_info info{};
  dladdr(__builtin_return_address(0), &info);
  const bool known = key < makers.size();
  // The destructor of libgomp ends with this call, so that it seems to come from the linker.
  const bool gomp = known &&
                    std::string_view(info.dli_fname).find("/ld-") != std::string_view::npos &&
                    name_of(makers[key]).find("/libgomp.") != std::string_view::npos;
  if (!known || (makers[key] != info.dli_fbase && !gomp)) {
    std::fprintf(stderr, "%s deletes key %u, which it has not made\n", info.dli_fname, key);
    _exit(3);
  }
  makers[key] = nullptr;
  return next<decltype(pthread_key_delete)>("pthread_key_delete")(key);
}

namespace {

TEST(Exit, NoLibraryDeletesTheThreadKeyOfAnother) {
  // Else the library would not be loaded at all.
  ASSERT_FALSE(junctor::to_string(junctor::EndReason::Busy).empty());
  // In a fresh program: here other tests might have used what is to stay unused.
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(std::exit(0), testing::ExitedWithCode(0), "");
}

TEST(Exit, TheWatchOverKeysNotices) {
  pthread_key_t key{};
  ASSERT_EQ(pthread_key_create(&key, nullptr), 0);
  makers[key] = nullptr;  // as if another had made it
  EXPECT_EXIT(pthread_key_delete(key), testing::ExitedWithCode(3), "has not made");
}

}  // namespace
