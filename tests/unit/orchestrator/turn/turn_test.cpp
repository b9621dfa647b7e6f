// SPDX-License-Identifier: LGPL-2.1-or-later
#include "config/turn.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <fstream>
#include <sstream>

#include "../../temporary_directory.h"
#include "../../tls_peer.h"
#include "turn/child.h"
#include "turn/coturn_config.h"
#include "turn/credentials.h"
#include "turn/look.h"
#include "turn/relay.h"

namespace junctor::turn {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(TurnCredentials, AreThoseOfTheRestScheme) {
  const Credentials made = issue("north", "alice", 1735689600, 3600s);
  EXPECT_EQ(made.username, "1735693200:alice");
  EXPECT_EQ(made.expires, 1735693200);
  // printf 1735693200:alice | openssl dgst -sha1 -hmac north -binary | base64
  EXPECT_EQ(made.password, "gJrx9uItvwHmahU43r92XE/ydKs=");
  EXPECT_NE(issue("south", "alice", 1735689600, 3600s).password, made.password);
}

CoturnOptions options() {
  CoturnOptions made;
  made.directory = "/data/turn";
  made.listen = {"203.0.113.5", 3480};
  made.tls = Endpoint{"203.0.113.5", 5349};
  made.certificate = "/c.pem";
  made.key = "/k.pem";
  made.low = 50000;
  made.high = 50999;
  made.secret = "north";
  made.realm = "junctor";
  return made;
}

std::string written(const CoturnOptions &made) {
  const auto text = coturn_config(made);
  EXPECT_TRUE(text) << text.error().detail;
  return text ? *text : "";
}

TEST(CoturnConfig, SaysWhereItListensAndWhoMayCome) {
  const std::string text = written(options());
  for (const char *line :
       {"\nlistening-ip=203.0.113.5\n", "\nlistening-port=3480\n", "\ntls-listening-port=5349\n",
        "\ncert=/c.pem\n", "\npkey=/k.pem\n", "\nmin-port=50000\n", "\nmax-port=50999\n",
        "\nuse-auth-secret\n", "\nstatic-auth-secret=north\n", "\nrealm=junctor\n",
        "\nno-multicast-peers\n", "\nno-cli\n", "\nno-rfc5780\n",
        "\ndenied-peer-ip=10.0.0.0-10.255.255.255\n",
        "\ndenied-peer-ip=127.0.0.0-127.255.255.255\n"})
    EXPECT_THAT(text, HasSubstr(line));
  EXPECT_THAT(text, Not(HasSubstr("allowed-peer-ip")));
  EXPECT_THAT(text, Not(HasSubstr("allow-loopback-peers")));
}

/// An address as coturn compares them; the first byte tells the family.
std::string comparable(const std::string &text) {
  unsigned char bytes[16];
  if (::inet_pton(AF_INET, text.c_str(), bytes) == 1)
    return '4' + std::string(reinterpret_cast<char *>(bytes), 4);
  EXPECT_EQ(::inet_pton(AF_INET6, text.c_str(), bytes), 1) << text;
  return '6' + std::string(reinterpret_cast<char *>(bytes), 16);
}

/// As addr_less_eq() of coturn: IPv4 is less than IPv6, whose bytes are compared each for itself.
bool less_eq(const std::string &left, const std::string &right) {
  if (left[0] != right[0] || left[0] == '4') return left <= right;
  return std::equal(left.begin(), left.end(), right.begin(),
                    [](unsigned char a, unsigned char b) { return a <= b; });
}

/// As ioa_addr_in_range() of coturn: an end of zeros is none.
bool coturn_refuses(const std::string &config, const std::string &address) {
  const std::string wanted = comparable(address);
  const auto open = [](const std::string &end) {
    return end.find_first_not_of('\0', 1) == std::string::npos;
  };
  std::istringstream lines(config);
  const std::string key = "denied-peer-ip=";
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(key)) continue;
    const auto dash = line.find('-', key.size());
    const std::string low = comparable(line.substr(key.size(), dash - key.size())),
                      high = comparable(line.substr(dash + 1));
    if ((open(low) || less_eq(low, wanted)) && (open(high) || less_eq(wanted, high))) return true;
  }
  return false;
}

TEST(CoturnConfig, RefusesPrivatePeersAndNoOthers) {
  const std::string text = written(options());
  for (const char *address : {"203.0.113.5", "8.8.8.8", "9.255.255.255", "11.0.0.0", "172.32.0.1",
                              "100.128.0.1", "223.255.255.255", "2001:db8::1", "2a00::", "fec0::1"})
    EXPECT_FALSE(coturn_refuses(text, address)) << address;
  for (const char *address :
       {"0.0.0.1", "10.1.2.3", "127.0.0.1", "172.31.255.255", "192.168.0.1", "169.254.1.1",
        "100.64.0.1", "255.1.1.1", "::1", "::100", "::beef", "fe80::1", "febf::1", "fd00::1",
        "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::"})
    EXPECT_TRUE(coturn_refuses(text, address)) << address;
}

TEST(CoturnConfig, LeavesOutWhatIsNotWanted) {
  CoturnOptions made = options();
  made.listen.address = "0.0.0.0";
  made.tls.reset();
  const std::string text = written(made);
  EXPECT_THAT(text, Not(HasSubstr("listening-ip")));
  EXPECT_THAT(text, HasSubstr("\nno-tls\n"));
  EXPECT_THAT(text, Not(HasSubstr("max-bps")));
}

TEST(CoturnConfig, AllowsWhomTheOperatorNames) {
  CoturnOptions made = options();
  made.allowed_peers = {"192.168.7.0/24", "127.0.0.1"};
  const std::string text = written(made);
  EXPECT_THAT(text, HasSubstr("\nallowed-peer-ip=192.168.7.0-192.168.7.255\n"));
  EXPECT_THAT(text, HasSubstr("\nallowed-peer-ip=127.0.0.1\n"));
  EXPECT_THAT(text, HasSubstr("\nallow-loopback-peers\n"));
}

TEST(CoturnConfig, WritesPeersAsCoturnKnowsThem) {
  struct Row {
    const char *given, *written;
    bool loopback = false;
  };
  for (const Row &row :
       {Row{"10.0.0.0/8", "10.0.0.0-10.255.255.255"}, Row{"10.1.2.3/9", "10.0.0.0-10.127.255.255"},
        Row{"10.1.2.3/32", "10.1.2.3"}, Row{"0.0.0.0/0", "0.0.0.0-255.255.255.255", true},
        Row{"10.0.0.9-10.0.1.2", "10.0.0.9-10.0.1.2"},
        Row{"120.0.0.0-130.0.0.0", "120.0.0.0-130.0.0.0", true},
        Row{"fd00::/8", "fd00::-fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        Row{"fd12:3456::1/33", "fd12:3456::-fd12:3456:7fff:ffff:ffff:ffff:ffff:ffff"},
        Row{"fe80::1-fe80::9", "fe80::1-fe80::9"},
        Row{"fd00::100-fd00::2ff", "fd00::100-fd00::2ff"}, Row{"::1", "::1", true}}) {
    CoturnOptions made = options();
    made.allowed_peers = {row.given};
    const std::string text = written(made);
    EXPECT_THAT(text, HasSubstr("\nallowed-peer-ip=" + std::string(row.written) + "\n"));
    EXPECT_EQ(text.find("\nallow-loopback-peers\n") != std::string::npos, row.loopback)
        << row.given;
  }
}

TEST(CoturnConfig, RefusesPeersThatAreNone) {
  for (const char *wrong :
       {"", "300.1.1.1", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/8x", "fd00::/129",
        "10.0.0.9-10.0.0.1", "10.0.0.1-fd00::1", "10.0.0.0/8-10.0.0.1", "10.0.0.1-", "-10.0.0.1",
        "1-2-3", "abc", "0.0.0.0", "::", "::/64", "fd00::1ff-fd00::210", "fd00::1-fd00::1:1"}) {
    CoturnOptions made = options();
    made.allowed_peers = {"10.0.0.1", wrong};
    EXPECT_FALSE(turn::coturn_config(made)) << wrong;
  }
}

TEST(CoturnConfig, TakesNoSecondLineInAValue) {
  CoturnOptions made = options();
  made.realm = "junctor\nno-auth";
  EXPECT_FALSE(coturn_config(made));
  made = options();
  made.allowed_peers = {"10.0.0.1\nno-auth"};
  EXPECT_FALSE(coturn_config(made));
}

TEST(CoturnConfig, KnowsWhatIsPublic) {
  for (const char *address : {"203.0.113.5", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:db8::1"})
    EXPECT_TRUE(is_public(address)) << address;
  for (const char *address : {"10.1.2.3", "127.0.0.1", "172.16.0.1", "172.31.255.255",
                              "192.168.0.1", "169.254.1.1", "100.64.0.1", "0.0.0.0", "255.1.1.1",
                              "::", "::1", "fe80::1", "fd00::1", "::ffff:10.0.0.1", "nonsense", ""})
    EXPECT_FALSE(is_public(address)) << address;
}

using config::check_turn_url;

TEST(TurnSetting, IsAWordOrUrls) {
  config::Turn turn;
  ASSERT_TRUE(config::parse_turn("auto", turn));
  EXPECT_EQ(turn.mode, config::TurnMode::Own);
  ASSERT_TRUE(config::parse_turn("turn:a:1,turns:b:2", turn));
  EXPECT_EQ(turn.mode, config::TurnMode::Other);
  EXPECT_THAT(turn.urls, ElementsAre("turn:a:1", "turns:b:2"));
  ASSERT_TRUE(config::parse_turn("off", turn));
  EXPECT_EQ(turn.mode, config::TurnMode::Off);
  EXPECT_TRUE(turn.urls.empty());
  for (const char *wrong : {"", "on", ",turn:a:1", "turn:a:1,auto"})
    EXPECT_FALSE(config::parse_turn(wrong, turn)) << wrong;
  EXPECT_FALSE(config::parse_turn_listen("off"));
  EXPECT_TRUE(config::parse_turn_listen("0.0.0.0:3480"));
}

TEST(TurnUrl, IsThatOfTheRfc) {
  for (const char *url : {"turn:turn.example.org", "turn:192.0.2.1:3478?transport=tcp",
                          "turns:turn.example.org:443?transport=tcp", "turn:[2001:db8::1]:3480"})
    EXPECT_TRUE(check_turn_url(url)) << url;
  for (const char *url : {"", "turn:", "turn://host", "stun:host", "turn:host:0", "turn:host?x=1",
                          "turn:user@host", "auto"})
    EXPECT_FALSE(check_turn_url(url)) << url;
}

TEST(Digest, IsThatOfTheCertificate) {
  const TemporaryDirectory directory;
  const TlsFiles files = test::fresh_certificate(directory.path());
  const auto digest = certificate_digest(files.certificate);
  ASSERT_TRUE(digest);
  EXPECT_EQ(digest->size(), 64U);
  EXPECT_FALSE(certificate_digest(files.key));
  EXPECT_FALSE(certificate_digest("/nonexistent"));
}

class ChildTest : public testing::Test {
 protected:
  void start(const std::string &script) { start_program({"/bin/sh", "-c", script}); }
  void start_program(std::vector<std::string> arguments) {
    Child::Options made;
    made.arguments = std::move(arguments);
    made.context = context_.get();
    made.first_wait = 5ms;
    made.longest_wait = 20ms;
    Child::Events events;
    events.line = [this](std::string line) { lines_.push_back(std::move(line)); };
    events.ended = [this](std::string why, Duration wait) {
      ends_.push_back(std::move(why));
      waits_.push_back(std::chrono::round<std::chrono::milliseconds>(wait).count());
    };
    auto child = Child::start(std::move(made), std::move(events));
    ASSERT_TRUE(child) << child.error().detail;
    child_ = std::move(*child);
  }
  template <class Check>
  bool wait(Check check) {
    const Time end = Clock::now() + 20s;
    while (!check() && Clock::now() < end) {
      g_main_context_iteration(context_.get(), FALSE);
      g_usleep(1000);
    }
    return check();
  }

  const std::unique_ptr<GMainContext, Releaser<g_main_context_unref>> context_{
      g_main_context_new()};
  std::vector<std::string> lines_, ends_;
  std::vector<long> waits_;
  std::unique_ptr<Child> child_;
};

TEST_F(ChildTest, SaysWhatItWrites) {
  start("echo one; echo two >&2; sleep 60");
  ASSERT_TRUE(wait([&] { return lines_.size() == 2; }));
  EXPECT_THAT(lines_, ElementsAre("one", "two"));
  EXPECT_TRUE(child_->running());
  EXPECT_GT(child_->pid(), 0);
}

TEST_F(ChildTest, ALongLineIsCut) {
  start("head -c 100000 /dev/zero | tr '\\0' x; echo; sleep 60");
  ASSERT_TRUE(wait([&] { return !lines_.empty(); }));
  EXPECT_EQ(lines_.front(), std::string(Child::kLongestLine, 'x'));
}

TEST_F(ChildTest, AllThatItWroteComesBeforeItsEnd) {
  start("for i in 1 2 3 4 5 6 7 8 9; do echo $i; done; printf last; exit 7");
  ASSERT_TRUE(wait([&] { return !ends_.empty(); }));
  ASSERT_EQ(lines_.size(), 10U);
  EXPECT_EQ(lines_.back(), "last");
}

TEST_F(ChildTest, IsNotWaitedForWhereItsOwnChildKeepsThePipe) {
  start("sleep 600 & echo $!; exit 7");
  ASSERT_TRUE(wait([&] { return !ends_.empty(); }));
  ::kill(std::stoi(lines_.front()), SIGKILL);
}

TEST_F(ChildTest, StartsAgainLaterEachTime) {
  start("exit 7");
  ASSERT_TRUE(wait([&] { return ends_.size() >= 4; }));
  EXPECT_EQ(ends_.front(), "/bin/sh has ended with status 7");
  waits_.resize(4);
  EXPECT_THAT(waits_, ElementsAre(5, 10, 20, 20));
  EXPECT_GE(child_->restarts(), 3U);
}

TEST_F(ChildTest, StartsAgainAlsoAfterAStartThatFailed) {
  const TemporaryDirectory directory;
  const std::string program = directory.path() + "/program";
  const auto write = [&] {
    std::ofstream(program) << "#!/bin/sh\nexit 7\n";
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  };
  write();
  start_program({program});
  std::filesystem::remove(program);
  const auto failed = [&] {
    return std::ranges::count(
        ends_, true, [&](const std::string &why) { return why.starts_with("cannot start"); });
  };
  ASSERT_TRUE(wait([&] { return failed() >= 2; }));
  write();
  ends_.clear();
  EXPECT_TRUE(
      wait([&] { return !ends_.empty() && ends_.back() == program + " has ended with status 7"; }));
}

TEST_F(ChildTest, TellsTheSignalThatEndedIt) {
  start("kill -9 $$");
  ASSERT_TRUE(wait([&] { return !ends_.empty(); }));
  EXPECT_EQ(ends_.front(), "/bin/sh was ended by signal 9");
}

TEST_F(ChildTest, EndsWithItsOwner) {
  start("echo ready; exec sleep 600");
  ASSERT_TRUE(wait([&] { return !lines_.empty(); }));
  const int pid = child_->pid();
  child_.reset();
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST_F(ChildTest, GetsNoSignalOfOurTerminal) {
  start("echo; exec sleep 60");
  ASSERT_TRUE(wait([&] { return !lines_.empty(); }));
  EXPECT_EQ(::getpgid(child_->pid()), child_->pid());
  EXPECT_NE(::getpgid(child_->pid()), ::getpgrp());
}

TEST_F(ChildTest, PassesSignalsOn) {
  start("trap 'echo again' USR2; echo ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(wait([&] { return !lines_.empty(); }));
  child_->signal(SIGUSR2);
  EXPECT_TRUE(wait([&] { return lines_.size() == 2; }));
}

TEST(Child, WhatIsNotThereIsNamed) {
  const auto child = Child::start({{"/nonexistent/turnserver"}}, {});
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().fault, Fault::Unreachable);
  EXPECT_THAT(child.error().detail, HasSubstr("/nonexistent/turnserver"));
}

/// A server of STUN that answers when it is told to.
class Server {
 public:
  Endpoint at() const { return local_endpoint(fd_.get()); }
  /// Answers what has come; returns how much that was. `id` is changed in the answer where `right`
  /// is false.
  unsigned answer(bool right = true) const {
    unsigned count = 0;
    sockaddr_storage from{};
    for (std::array<std::byte, 2048> bytes;; ++count) {
      socklen_t length = sizeof from;
      const ssize_t size = ::recvfrom(fd_.get(), bytes.data(), bytes.size(), 0,
                                      reinterpret_cast<sockaddr *>(&from), &length);
      if (size < 0) return count;
      const auto request =
          rtp::stun::Message::parse(ByteSpan(bytes).first(static_cast<std::size_t>(size)));
      EXPECT_TRUE(request && request->kind() == rtp::stun::Class::Request);
      auto id = request->id();
      if (!right) id[0] ^= std::byte{1};
      const Bytes reply =
          rtp::stun::Writer(rtp::stun::Class::Success, rtp::stun::Method::Binding, id).finish();
      EXPECT_EQ(::sendto(fd_.get(), reply.data(), reply.size(), 0,
                         reinterpret_cast<const sockaddr *>(&from), length),
                static_cast<ssize_t>(reply.size()));
    }
  }

 private:
  const UniqueFd fd_ = *bind_udp({"127.0.0.1", 0});
};

/// Iterates the default context until `check` holds; false after 20 s.
template <class Check>
bool wait_for(Check check) {
  const Time end = Clock::now() + 20s;
  while (!check() && Clock::now() < end) {
    g_main_context_iteration(nullptr, FALSE);
    g_usleep(1000);
  }
  return check();
}

class LookTest : public testing::Test {
 protected:
  void start() {
    look_ = *Look::start({server_.at(), nullptr, 5ms, 30ms, 10ms}, [this](bool answers) {
      told_.push_back(answers);
      if (answers) look_.reset();
    });
  }
  const Server server_;
  std::vector<bool> told_;
  std::unique_ptr<Look> look_;
};

TEST_F(LookTest, TellsAnAnswerAndAsksNoMore) {
  start();
  ASSERT_TRUE(wait_for([&] {
    server_.answer();
    return !told_.empty();
  }));
  EXPECT_THAT(told_, ElementsAre(true));
}

TEST_F(LookTest, TellsSilenceOnceAndGoesOnAsking) {
  start();
  ASSERT_TRUE(wait_for([&] { return !told_.empty(); }));
  unsigned asked = 0;
  ASSERT_TRUE(wait_for([&] { return (asked += server_.answer(false)) > 10; }));
  EXPECT_THAT(told_, ElementsAre(false)) << "what answers another question is nobody";
  ASSERT_TRUE(wait_for([&] {
    server_.answer();
    return told_.size() == 2;
  }));
  EXPECT_TRUE(told_.back());
}

TEST(Look, WantsAnAddress) { EXPECT_FALSE(Look::start({{"relay.example", 3480}}, {})); }

/// Free for UDP and TCP, and below those that connections of other programs may take meanwhile.
std::uint16_t free_port() {
  for (std::uint16_t port = 20000 + ::getpid() % 10000; port < 32768; ++port)
    if (bind_udp({"127.0.0.1", port}) && listen_tcp({"127.0.0.1", port})) return port;
  return 0;
}

/// A relay whose program is a script.
class TurnRelayTest : public testing::Test {
 protected:
  TurnRelayTest() {
    options_.directory = directory_.path() + "/turn";
    options_.listen = {"127.0.0.1", free_port()};
    options_.tls.reset();
    offered_.urls = {"turn:203.0.113.5:3480"};
    offered_.secret = "north";
    offered_.look_patience = 30ms;
  }
  Result<void> start(const std::string &script) {
    const std::string program = directory_.path() + "/program";
    std::ofstream(program) << "#!/bin/sh\n" << script << "\n";
    EXPECT_EQ(::chmod(program.c_str(), 0700), 0);
    auto relay = Relay::start(
        offered_, options_,
        [this](LogLevel level, std::string_view text) {
          if (level >= LogLevel::Info) all_ += std::string(text) + "\n";
          if (level >= LogLevel::Warning) log_ += std::string(text) + "\n";
        },
        program);
    if (!relay) return relay.error();
    relay_ = *std::move(relay);
    return {};
  }
  std::string first_line(const std::string &name) {
    std::string line;
    std::ifstream file(directory_.path() + "/" + name);
    std::getline(file, line);
    return line;
  }

  const TemporaryDirectory directory_;
  CoturnOptions options_ = options();
  RelayOptions offered_;
  std::string log_;  ///< warnings and worse
  std::string all_;  ///< those, and what is good to know
  std::unique_ptr<Relay> relay_;
};

TEST_F(TurnRelayTest, StartsTheProgramWithAPrivateFile) {
  ASSERT_TRUE(start("cd " + directory_.path() + "; echo \"$@\" >arguments; exec sleep 600"));
  ASSERT_TRUE(wait_for([&] { return !first_line("arguments").empty(); }));
  EXPECT_EQ(first_line("arguments"), "-c " + options_.directory + "/turnserver.conf");
  for (const std::string &path :
       {options_.directory + "/turnserver.conf", directory_.path() + "/arguments"}) {
    struct stat status {};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600U) << path;
  }
  const auto offer = relay_->offer("alice", 1735689600);
  ASSERT_TRUE(offer);
  EXPECT_THAT(offer->urls, ElementsAre("turn:203.0.113.5:3480"));
  EXPECT_EQ(offer->credentials.username, "1735693200:alice");
}

TEST_F(TurnRelayTest, IsOfferedAndUpWhereItAnswers) {
  const Server server;
  offered_.look_at = server.at();
  ASSERT_TRUE(start("exec sleep 600"));
  EXPECT_EQ(relay_->up(), false);
  EXPECT_TRUE(relay_->offer("alice", 0)) << "it has only just begun";
  ASSERT_TRUE(wait_for([&] { return log_ != ""; }));
  EXPECT_THAT(log_, HasSubstr("nothing answers at " + server.at().to_string()));
  EXPECT_THAT(log_, HasSubstr("turn.listen"));
  EXPECT_EQ(relay_->up(), false);
  EXPECT_FALSE(relay_->offer("alice", 0));
  EXPECT_THAT(relay_->description(), HasSubstr("does not answer"));
  ASSERT_TRUE(wait_for([&] {
    server.answer();
    return *relay_->up();
  }));
  EXPECT_TRUE(relay_->offer("alice", 0));
}

TEST_F(TurnRelayTest, IsNotOfferedWhereItEndsBeforeItAnswers) {
  offered_.look_at = options_.listen;
  offered_.look_patience = 1h;
  ASSERT_TRUE(start(
      "echo '0: : ERROR: no meaningful address '; echo '0: : '; echo on its way out; exit 7"));
  bool known = false;
  relay_->when_known([&] { known = true; });
  EXPECT_FALSE(known);
  ASSERT_TRUE(wait_for([&] { return !relay_->offer("alice", 0); }));
  EXPECT_EQ(relay_->up(), false);
  EXPECT_TRUE(known);
  EXPECT_THAT(log_,
              HasSubstr("ended with status 7, its last words: ERROR: no meaningful address;"));
  EXPECT_THAT(log_, HasSubstr("turn.listen")) << "what to do";
  EXPECT_THAT(relay_->description(), AllOf(HasSubstr("none: "), HasSubstr("no meaningful address"),
                                           Not(HasSubstr("203.0.113.5"))));
  const std::string first = std::exchange(log_, {});
  ASSERT_TRUE(wait_for([&] { return relay_->restarts() >= 3; }));
  EXPECT_EQ(log_, "") << "once is enough";
  EXPECT_THAT(first + all_, Not(HasSubstr("again\n")));
}

TEST_F(TurnRelayTest, OneThatComesBackIsToldOfOnceItAnswers) {
  const Server server;
  offered_.look_at = server.at();
  offered_.look_patience = 1h;
  ASSERT_TRUE(start("echo $$ >" + directory_.path() + "/pid; exec sleep 600"));
  const auto answered = [&] {
    server.answer();
    return *relay_->up();
  };
  ASSERT_TRUE(wait_for(answered));
  const std::string place = "turn: answers at " + server.at().to_string();
  EXPECT_THAT(all_, HasSubstr(place + "\n"));
  // The server answers for it, and may be sooner than the child's first line.
  std::string first;
  ASSERT_TRUE(wait_for([&] { return !(first = first_line("pid")).empty(); }));
  ::kill(std::stoi(first), SIGKILL);
  ASSERT_TRUE(wait_for([&] { return !*relay_->up(); }));
  EXPECT_TRUE(relay_->offer("alice", 0)) << "it is back in a moment";
  EXPECT_THAT(log_, HasSubstr("was ended by signal 9; it is started again in 100 ms\n"));
  EXPECT_THAT(all_, Not(HasSubstr(" again\n")));
  ASSERT_TRUE(wait_for(answered));
  EXPECT_THAT(all_, HasSubstr(place + " again\n"));
}

TEST_F(TurnRelayTest, IsNotStartedWhereItCannotListen) {
  const auto udp = bind_udp(options_.listen);
  const auto taken = start("exec sleep 600");
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().fault, Fault::Refused);
  EXPECT_THAT(taken.error().detail, HasSubstr(options_.listen.to_string()));
  options_.listen.address = "9.9.9.9";
  const auto elsewhere = start("exec sleep 600");
  ASSERT_FALSE(elsewhere);
  EXPECT_THAT(elsewhere.error().detail, HasSubstr("9.9.9.9"));
  options_.listen = {"127.0.0.1", 0};
  const auto tcp = listen_tcp({"127.0.0.1", 0});
  options_.tls = local_endpoint(tcp->get());
  EXPECT_FALSE(start("exec sleep 600"));
}

TEST_F(TurnRelayTest, SaysWhereThereIsNoProgram) {
  const auto udp = bind_udp(options_.listen);
  const auto relay = Relay::start(
      offered_, options_, [](LogLevel, std::string_view) {}, "/nonexistent/turnserver");
  ASSERT_FALSE(relay);
  EXPECT_EQ(relay.error().fault, Fault::Unreachable) << "and no port is in its way";
  EXPECT_THAT(relay.error().detail, HasSubstr("/nonexistent/turnserver"));
}

}  // namespace
}  // namespace junctor::turn
