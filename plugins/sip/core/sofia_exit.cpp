// SPDX-License-Identifier: LGPL-2.1-or-later
// Keeps Sofia from taking away, at exit, what belongs to others.
#include <sofia-sip/su_uniqueid.h>

namespace {

/// When the library is loaded. Sofia 1.12's own destructor deletes its thread-specific key even if
/// it never made one, and then that is key 0: mostly GLib's, whose threads abort the program if one
/// of them wakes while it exits. After a first random number the key is Sofia's own.
[[gnu::constructor]] void own_the_key() { (void)su_random64(); }

}  // namespace
