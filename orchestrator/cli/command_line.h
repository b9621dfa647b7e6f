// SPDX-License-Identifier: LGPL-2.1-or-later
// What a person typed.
#pragma once

#include <string>
#include <vector>

#include "accounts/authorities.h"
#include "accounts/token.h"
#include "config/config.h"

namespace junctor::cli {

/// The exit codes of the program, as the help lists them.
inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;       ///< it was tried and did not work; the message says why
inline constexpr int kWrongUsage = 2;   ///< the command line or the configuration is wrong
inline constexpr int kUnreachable = 3;  ///< no orchestrator answers

enum class Verb {
  Say,  ///< print `message` and exit with `exit_code`: help, version, an error
  Serve,
  AccountAdd,
  AccountList,
  AccountRemove,
  AccountToken,
  AccountRevoke,
  Call,
  Calls,
  Hangup,
  Dtmf,
  Trunks,
  Channels,
  Nodes,
  Nat,
  Node,
  Phone,
  Answer,
  Decline,
  Doctor,
};

/// What `node` was told.
struct NodeWords {
  std::string token, token_file, name, region, listen = "[::]:0", hours, bytes;
  accounts::Trust trust;
  std::vector<std::string> announced;
  double price = 0;
  std::uint32_t users = 100;
  int battery = 20;
  unsigned drain = 15;  ///< seconds
  unsigned every = 10;  ///< seconds between two lines of figures; 0: none
};

/// What `junctor phone` was told.
struct PhoneLine {
  std::string token, token_file, call, answer = "auto";
  accounts::Trust trust;
  std::string video = "test", audio = "test", codec = "h264";
  std::vector<std::string> answer_from;  ///< accounts; empty: all
  std::string save_pictures, save_sound, rungs = "p2p,sfu,relay", ladder = "parallel";
  unsigned bitrate = 600, timeout = 3000, head_start = 1000, save_every = 0, duration = 0;
  bool once = false, stats = false, no_prediction = false, many_sockets = false;
};

struct CommandLine {
  Verb verb = Verb::Say;
  std::string message;
  int exit_code = kDone;
  config::Config config;  ///< defaults, then --config, then flags
  std::string url;
  std::string name;  ///< of an account
  std::string from, to, id, digits;
  bool password_from_stdin = false;
  std::string save;               ///< file for a new token; empty: it is printed
  std::string srtp;               ///< of the new account; empty: nothing said
  std::vector<std::string> stun;  ///< servers that `nat` asks
  accounts::Trust trust;          ///< of whom to believe about the API; `phone`, `node`: theirs
  PhoneLine phone;
  bool watch = false;
  unsigned every = 15;  ///< seconds between two looks of `nat --watch`
  NodeWords node;
  bool json = false;
  bool wait = true;
  bool running_only = false;
  std::size_t limit = 20;
  accounts::Rights rights{true, true};
  std::int64_t seconds = 0;  ///< a token's life
};

/// `arguments` without the program's name. Reads the file that --config names.
CommandLine parse(const std::vector<std::string> &arguments);

}  // namespace junctor::cli
