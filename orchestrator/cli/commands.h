// SPDX-License-Identifier: LGPL-2.1-or-later
// The commands of the program, besides `serve`.
#pragma once

#include <istream>
#include <ostream>

#include "cli/command_line.h"

namespace junctor::cli {

struct Streams {
  std::istream &in;
  std::ostream &out, &err;
};

/// Does what the command line asks and answers the exit code. Not for Verb::Serve.
int run(const CommandLine &line, Streams streams);

/// Finds out the behaviour of the NAT in front of this machine, and the nearest STUN server.
int nat(const CommandLine &line, Streams streams);

/// Runs an SFU node until it is stopped.
int node(const CommandLine &line, Streams streams);
/// A headless client: calls or is called through whatever NATs there are. Until it is interrupted.
int phone(const CommandLine &line, Streams streams);

/// Checks the machine; each line says ok, or what is missing and the fix.
int doctor(const config::Config &config, std::ostream &out);

}  // namespace junctor::cli
