// SPDX-License-Identifier: LGPL-2.1-or-later
#include "cli/phone_flags.h"

#include "cli/validators.h"

namespace junctor::cli {

void add_trust_flags(CLI::App &command, accounts::Trust &trust) {
  command
      .add_option("--ca", trust.ca_file,
                  "Who vouches for the orchestrator's certificate; for one of its own making its "
                  "tls-cert.pem (the system's authorities)")
      ->type_name("FILE.pem");
  command.add_flag("--insecure", trust.insecure, "Take any certificate: for first steps only");
}

void add_phone_flags(CLI::App &command, PhoneLine &line) {
  const auto text = [&](const char *flag, std::string &into, const char *type, const char *help) {
    return command.add_option(flag, into, help)->type_name(type);
  };
  text("--token-file", line.token_file, "FILE",
       "Token of the account, in a file of mode 0600; or the environment variable JUNCTOR_TOKEN");
  text("--token", line.token, "TOKEN", "The same here, where other users of this machine see it");
  add_trust_flags(command, line.trust);
  text("--call", line.call, "NAME",
       "Account to call; where no orchestrator answers within 20 s, the exit status is 3 (none: "
       "waits to be called, and goes on trying to reach the orchestrator)")
      ->check(kAccountName);
  text("--answer", line.answer, "auto|no",
       "What becomes of calls that come: auto shows every account that calls what --video and "
       "--audio send (auto)")
      ->check(CLI::IsMember({"auto", "no"}));
  command.add_option("--answer-from", line.answer_from, "Answer these alone, decline all others")
      ->type_name("ACCOUNT,...")
      ->delimiter(',')
      ->check(kAccountName);
  command.add_flag("--once", line.once, "End with the first call");
  text("--video", line.video, "WHAT",
       "test, off, /dev/videoN, or a file (test). The end of a file, this or that of --audio, ends "
       "what is sent of both; the call goes on");
  text("--audio", line.audio, "WHAT", "test, test:HERTZ, mic, off, or a file (test)");
  text("--codec", line.codec, "h264|vp8", "Of the picture that is sent (h264)")
      ->check(CLI::IsMember({"h264", "vp8"}));
  command.add_option("--bitrate", line.bitrate, "Of the picture, in kbit/s (600)")
      ->type_name("KBITS")
      ->check(CLI::Range(50U, 20000U));
  text("--save-pictures", line.save_pictures, "DIR",
       "Where SIGUSR1 saves the newest picture that came, as PNG (.)");
  command.add_option("--save-every", line.save_every, "And each so many seconds by itself")
      ->type_name("SECONDS")
      ->check(CLI::Range(1U, 86400U));
  text("--save-sound", line.save_sound, "FILE.wav", "Save what is heard");
  command.add_flag("--stats", line.stats, "A line each second: way, round trip, bytes, loss");
  command.add_option("--duration", line.duration, "Hang up so long after media can flow")
      ->type_name("SECONDS")
      ->check(CLI::Range(1U, 86400U));
  text("--rungs", line.rungs, "LIST",
       "Ways that may be taken: p2p directly, sfu over a node, relay over TURN (p2p,sfu,relay)");
  text("--ladder", line.ladder, "parallel|strict",
       "Prepare the next way while one is tried, or try one after the other (parallel)")
      ->check(CLI::IsMember({"parallel", "strict"}));
  command.add_option("--timeout", line.timeout, "Milliseconds for the direct way (3000)")
      ->type_name("MS")
      ->check(CLI::Range(100U, 60000U));
  command
      .add_option("--head-start", line.head_start,
                  "Milliseconds that nodes are tried before a relay carries (1000)")
      ->type_name("MS")
      ->check(CLI::Range(0U, 60000U));
  command.add_flag("--no-prediction", line.no_prediction,
                   "Do not foretell the ports of a NAT that counts");
  command.add_flag("--many-sockets", line.many_sockets,
                   "256 sockets against a NAT that takes ports by chance; both ends want it");
}

}  // namespace junctor::cli
