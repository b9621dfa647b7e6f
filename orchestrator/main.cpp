// SPDX-License-Identifier: LGPL-2.1-or-later
// The `junctor` program.
#include <iostream>

#include "cli/commands.h"
#include "serve.h"

int main(int argc, char **argv) {
  using namespace junctor;
  const cli::CommandLine line = cli::parse({argv + 1, argv + argc});
  if (line.verb == cli::Verb::Serve) return serve(line.config, std::cout, std::cerr);
  return cli::run(line, {std::cin, std::cout, std::cerr});
}
