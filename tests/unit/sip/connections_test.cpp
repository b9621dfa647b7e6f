// SPDX-License-Identifier: LGPL-2.1-or-later
// What TCP connections to an agent may cost.
#include "sip/core/connections.h"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <filesystem>

#include "agent_fixture.h"
#include "sip/core/digest.h"
#include "tcp_client.h"

namespace junctor::sip::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(Surplus, QuietOnesGoAfterTheirTime) {
  const ConnectionLimits limits{
      .in_all = 10, .per_peer = 10, .silence = seconds(10), .idle = seconds(150)};
  EXPECT_THAT(surplus({{"a", false, seconds(9), false},
                       {"a", false, seconds(10), false},
                       {"a", true, seconds(149), false},
                       {"a", true, seconds(150), false}},
                      limits),
              ElementsAre(1, 3));
}

TEST(Surplus, WhoRegisteredOverItMayBeQuiet) {
  const ConnectionLimits limits{
      .in_all = 1, .per_peer = 1, .silence = seconds(10), .idle = seconds(150)};
  EXPECT_THAT(surplus({{"a", true, seconds(3000), true}, {"a", true, seconds(3000), true}}, limits),
              IsEmpty());
  EXPECT_THAT(surplus({{"a", true, seconds(3000), true}, {"a", true, seconds(1), false}}, limits),
              IsEmpty());
}

TEST(Surplus, TooManyOfOnePeerLeaveOthersAlone) {
  const ConnectionLimits limits{
      .in_all = 100, .per_peer = 2, .silence = seconds(10), .idle = seconds(150)};
  EXPECT_THAT(surplus({{"a", true, seconds(5), false},
                       {"b", false, seconds(9), false},
                       {"a", false, seconds(1), false},
                       {"a", false, seconds(2), false},
                       {"a", true, seconds(7), false}},
                      limits),
              ElementsAre(2, 3));
}

TEST(Surplus, TooManyInAllMakeATenthFree) {
  const ConnectionLimits limits{
      .in_all = 10, .per_peer = 10, .silence = seconds(10), .idle = seconds(150)};
  std::vector<Connection> connections;
  for (int i = 0; i < 11; ++i)
    connections.push_back({"peer" + std::to_string(i), i % 2 == 0, milliseconds(i), false});
  // The longest quiet of those that have said nothing.
  EXPECT_THAT(surplus(connections, limits), ElementsAre(7, 9));
  connections.pop_back();
  EXPECT_THAT(surplus(connections, limits), IsEmpty());
}

class ConnectionsTest : public AgentTest {
 protected:
  AgentOptions options() override {
    AgentOptions options = AgentTest::options();
    options.connections = limits_;
    options.ha1 = [](const std::string &user) -> std::optional<std::string> {
      if (user != "carol") return std::nullopt;
      return digest_ha1("carol", "junctor", "secret");
    };
    return options;
  }
  std::unique_ptr<TcpClient> client() { return std::make_unique<TcpClient>(agent_->local()); }
  std::string ask() {
    return over_tcp(peer_.request_text("OPTIONS", "sip:" + agent_->local().to_string()));
  }
  bool all_closed(const std::vector<std::unique_ptr<TcpClient>> &clients, std::size_t many) {
    return run_until([&] {
      return static_cast<std::size_t>(std::ranges::count_if(
                 clients, [](const auto &each) { return each->closed(); })) >= many;
    });
  }

  ConnectionLimits limits_;
};

class QuickConnections : public ConnectionsTest {
 public:
  QuickConnections() { limits_.silence = limits_.idle = milliseconds(60); }
};

TEST_F(QuickConnections, WhoSaysNothingIsLetGo) {
  std::vector<std::unique_ptr<TcpClient>> clients;
  for (int i = 0; i < 30; ++i) clients.push_back(client());
  EXPECT_TRUE(all_closed(clients, clients.size()));
  EXPECT_THAT(log_, HasSubstr("TCP connection closed: it says nothing that makes sense"));
  expect_alive();
}

TEST_F(QuickConnections, WhoStopsTalkingIsLetGoWhateverItHasSaid) {
  std::vector<std::unique_ptr<TcpClient>> clients;
  for (const std::string &text :
       {ask(), std::string("\r\n\r\n"), std::string("INVITE sip:x SIP/2.0\r\nVia: "),
        std::string("nonsense\r\n\r\n"), ask() + "OPTIONS sip:x"}) {
    clients.push_back(client());
    clients.back()->send(text);
  }
  EXPECT_TRUE(clients.front()->answered(200));
  EXPECT_TRUE(all_closed(clients, clients.size()));
  EXPECT_EQ(clients[1]->heard(), "\r\n");  // the pong of RFC 5626 section 4.4.1
  expect_alive();
}

TEST_F(QuickConnections, APhoneThatRegisteredKeepsItsConnection) {
  TcpClient phone(agent_->local());
  const auto text = [&](int cseq, const std::string &extra) {
    return "REGISTER sip:junctor SIP/2.0\r\nVia: SIP/2.0/TCP 10.9.9.9:5060;rport;branch=z9hG4bK" +
           std::to_string(cseq) + "\r\nMax-Forwards: 70\r\nFrom: <sip:carol@junctor>;tag=x\r\n" +
           "To: <sip:carol@junctor>\r\nCall-ID: reg-1\r\nCSeq: " + std::to_string(cseq) +
           " REGISTER\r\nContact: <sip:carol@10.9.9.9:5060;transport=tcp>;expires=120\r\n" + extra +
           "Content-Length: 0\r\n\r\n";
  };
  phone.send(text(1, ""));
  ASSERT_TRUE(phone.answered(401));
  const std::string &challenge = phone.heard();
  const auto start = challenge.find("nonce=\"") + 7;
  const std::string nonce = challenge.substr(start, challenge.find('"', start) - start);
  phone.send(text(2, "Authorization: Digest username=\"carol\", realm=\"junctor\", nonce=\"" +
                         nonce + "\", uri=\"sip:junctor\", response=\"" +
                         digest_response(digest_ha1("carol", "junctor", "secret"), nonce,
                                         "00000001", "c", "auth", "REGISTER", "sip:junctor") +
                         "\", algorithm=MD5, cnonce=\"c\", qop=auth, nc=00000001\r\n"));
  ASSERT_TRUE(phone.answered(200));
  // Others come after it and go before it.
  for (int round = 0; round < 3; ++round) {
    std::vector<std::unique_ptr<TcpClient>> others;
    others.push_back(client());
    others.push_back(client());
    others.back()->send(ask());
    ASSERT_TRUE(all_closed(others, 2));
  }
  EXPECT_FALSE(phone.closed());
  const auto found = agent_->registrations("carol");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].source, phone.local());
  InviteOptions options = invite_options();
  options.uri = found[0].contact;
  options.proxy = found[0].route;
  call(options);
  EXPECT_TRUE(run_until([&] {
    return phone.heard().find("INVITE sip:carol@10.9.9.9:5060;transport=tcp SIP/2.0") !=
           std::string::npos;
  }));
}

class PatientConnections : public ConnectionsTest {
 public:
  PatientConnections() {
    limits_.silence = milliseconds(60);
    limits_.idle = seconds(3600);
  }
};

TEST_F(PatientConnections, WhoMakesNoSenseGetsNoMoreTimeThanTheSilent) {
  TcpClient good(agent_->local());
  good.send(ask());
  ASSERT_TRUE(good.answered(200));
  // Its end would never be waited for: it is longer than any message may be.
  TcpClient bad(agent_->local());
  bad.send("OPTIONS sip:x SIP/2.0\r\nContent-Length: 60000\r\n\r\nx");
  EXPECT_TRUE(run_until([&] { return bad.closed(); }));
  EXPECT_FALSE(good.closed());
}

TEST_F(PatientConnections, WhoDoesNotSpeakSipGetsNoMoreTimeThanTheSilent) {
  struct Row {
    std::string said, why;
  };
  for (const Row &row :
       {Row{std::string("\x16\x03\x01\x02\x00\x01", 6), "it speaks TLS at the port for plain TCP"},
        Row{"GET / HTTP/1.1\r\n", "it speaks HTTP"}, Row{"\x80\xff\x01", "it does not speak SIP"},
        Row{"\r\n\r\nhello\n", "it does not speak SIP"}, Row{" INVITE", "it does not speak SIP"},
        Row{std::string(100, 'A'), "it does not speak SIP"}}) {
    TcpClient bad(agent_->local());
    bad.send(row.said);
    EXPECT_TRUE(run_until([&] { return bad.closed(); })) << row.said;
    EXPECT_THAT(log_, HasSubstr(bad.local().to_string() +
                                ": what came over TCP makes no sense: " + row.why));
    EXPECT_THAT(log_, HasSubstr("TCP connection closed: it says nothing that makes sense"));
    log_.clear();
  }
}

TEST_F(PatientConnections, WhoSpeaksSipSlowlyHasItsTime) {
  std::vector<std::unique_ptr<TcpClient>> clients;
  for (const char *part : {"\r\n\r\n", "INV", "INVITE", "INVITE ", "INVITE s", "INVITE sip:bob@",
                           "SIP/2.0 200 OK\r\n", "x-y.z!%*_+`'~ tel:1"}) {
    clients.push_back(client());
    clients.back()->send(part);
  }
  auto slow = client();
  const std::string whole = ask();
  slow->send(whole.substr(0, 3));
  auto silent = client();
  EXPECT_TRUE(run_until([&] { return silent->closed(); }));
  slow->send(whole.substr(3, 20));
  auto later = client();
  EXPECT_TRUE(run_until([&] { return later->closed(); }));
  slow->send(whole.substr(23));
  EXPECT_TRUE(slow->answered(200));
  for (const auto &each : clients) EXPECT_FALSE(each->closed());
}

TEST_F(PatientConnections, NobodyElseCanMakeAConnectionDistrusted) {
  TcpClient good(agent_->local());
  good.send(ask());
  ASSERT_TRUE(good.answered(200));
  // From the same address and port, but a datagram: anybody could forge it.
  const auto socket = bind_udp(good.local());
  ASSERT_TRUE(socket) << socket.error().detail;
  const auto to = agent_->local().to_sockaddr();
  const std::string bad = ask().replace(0, 7, "INVITES");
  ASSERT_GT(::sendto(socket->get(), bad.data(), bad.size(), 0,
                     reinterpret_cast<const sockaddr *>(&*to), sockaddr_length(*to)),
            0);
  ASSERT_TRUE(run_until([&] { return log_.find("refused at parsing") != std::string::npos; }));
  TcpClient silent(agent_->local());
  EXPECT_TRUE(run_until([&] { return silent.closed(); }));
  EXPECT_FALSE(good.closed()) << log_;
}

TEST_F(PatientConnections, KeepAlivesCostNothing) {
  TcpClient phone(agent_->local());
  phone.send(ask());
  ASSERT_TRUE(phone.answered(200));
  const std::size_t before = phone.heard().size();
  std::string pings;
  for (int ping = 0; ping < 100; ++ping) pings += "\r\n\r\n";
  for (int sent = 0; sent < 100; ++sent) {
    // Sofia answers what came in one piece as one.
    const std::size_t heard = phone.heard().size();
    phone.send(pings);
    ASSERT_TRUE(run_until([&] { return phone.heard().size() > heard || phone.closed(); }));
    ASSERT_FALSE(phone.closed()) << sent << log_;
  }
  phone.send(ask());
  EXPECT_TRUE(
      run_until([&] { return phone.heard().find("SIP/2.0 200", before) != std::string::npos; }));
}

class CrowdedConnections : public ConnectionsTest {
 public:
  CrowdedConnections() {
    limits_ = {.in_all = 100, .per_peer = 100, .silence = seconds(3600), .idle = seconds(3600)};
  }
};

TEST_F(CrowdedConnections, WhatSofiaReadsNoMoreIsClosed) {
  TcpClient client(agent_->local());
  client.send(ask());
  ASSERT_TRUE(client.answered(200));
  // The first line is none of SIP: nobody is told of it.
  client.send("nonsense\r\n\r\n");
  expect_alive();
  client.send(ask());
  EXPECT_TRUE(run_until([&] { return client.closed(); }));
  EXPECT_THAT(log_, HasSubstr("TCP connection closed: what it sent makes no sense"));
}

TEST_F(CrowdedConnections, ManyThatSayNothingDisturbNobody) {
  const Message invite = answered_call();
  TcpClient before(agent_->local());
  before.send(ask());
  ASSERT_TRUE(before.answered(200));

  std::vector<std::unique_ptr<TcpClient>> clients;
  for (int i = 0; i < 600; ++i) {
    clients.push_back(client());
    if (i % 20 == 19) expect_alive();
  }
  EXPECT_TRUE(all_closed(clients, 500));
  TcpClient late(agent_->local());
  late.send(ask());
  EXPECT_TRUE(late.answered(200)) << late.closed() << late.heard() << log_;
  EXPECT_FALSE(before.closed());
  EXPECT_EQ(call_->state(), CallState::Answered);
  call_->hangup(EndReason::CallerHangup);
  peer_.reply(peer_.request("BYE"), "200 OK");
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::CallerHangup);
}

TEST_F(CrowdedConnections, ManyThatAskAtOnceAreAllAnswered) {
  TcpClient before(agent_->local());
  before.send(ask());
  ASSERT_TRUE(before.answered(200));
  const std::size_t heard = before.heard().size();
  std::vector<std::unique_ptr<TcpClient>> clients;
  for (int i = 0; i < 60; ++i) {
    // The agent does not run meanwhile: it finds all of them at once, with their requests.
    clients.push_back(client());
    clients.back()->send(ask());
  }
  before.send(ask());
  for (const auto &each : clients) ASSERT_TRUE(each->answered(200)) << log_;
  EXPECT_TRUE(
      run_until([&] { return before.heard().find("SIP/2.0 200", heard) != std::string::npos; }));
  EXPECT_FALSE(before.closed());
  EXPECT_THAT(log_, Not(HasSubstr("TCP connection closed")));
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto &entry : std::filesystem::directory_iterator("/proc/self/fd"))
    ++count;
  return count;
}

TEST_F(CrowdedConnections, WithoutADescriptorLeftTheyAreRefused) {
  // All that the clients need is taken before the limit is set.
  std::vector<std::unique_ptr<TcpClient>> clients;
  for (int i = 0; i < 60; ++i) clients.push_back(std::make_unique<TcpClient>());
  rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &usual), 0);
  rlimit few = usual;
  few.rlim_cur = open_descriptors() + 20;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  for (const auto &each : clients) each->connect(agent_->local());
  const bool refused = all_closed(clients, 35);
  expect_alive();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &usual), 0);
  EXPECT_TRUE(refused);
  EXPECT_THAT(log_, HasSubstr("this process may open no more files"));
  TcpClient late(agent_->local());
  late.send(ask());
  EXPECT_TRUE(late.answered(200));
}

TEST_F(CrowdedConnections, HeadsOfManyLinesAreCutOff) {
  // The first line alone, then the lines in pieces.
  TcpClient flooder(agent_->local());
  flooder.send("OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TCP x;branch=z9hG4bKx\r\n");
  TcpClient good(agent_->local());
  good.send(ask());
  ASSERT_TRUE(good.answered(200));
  std::string piece;
  while (piece.size() < 1200) piece += "X:\n";
  flooder.send(piece);
  EXPECT_TRUE(run_until([&] { return flooder.closed(); }));
  EXPECT_THAT(log_, HasSubstr("dropped at parsing: more than 256 header lines"));
  good.send(ask());
  EXPECT_TRUE(good.answered(200));
}

}  // namespace
}  // namespace junctor::sip::test
