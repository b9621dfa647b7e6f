// SPDX-License-Identifier: LGPL-2.1-or-later
#include "config/config.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "../temporary_directory.h"
#include "config/certificate.h"
#include "config/checks.h"
#include "config/logging.h"
#include "config/nearest.h"
#include "config/places.h"
#include "config/stun.h"

using namespace junctor;
using namespace junctor::config;

namespace {

std::string error_of(const std::string &text) {
  Config config;
  const auto read = read_text(text, "junctor.toml", config);
  return read ? "" : read.error().detail;
}

}  // namespace

TEST(Config, DefaultsAreThoseOfTheManual) {
  const Config config;
  EXPECT_EQ(config.listen.rtmp->to_string(), "0.0.0.0:1935");
  EXPECT_EQ(config.listen.sip->to_string(), "0.0.0.0:5060");
  EXPECT_EQ(config.listen.http->to_string(), "127.0.0.1:8080");
  EXPECT_EQ(config.watchdog.interval.count(), 1000);
  EXPECT_EQ(config.watchdog.tries, 30U);
  EXPECT_EQ(config.rtmp.identity, Identity::AtConnect);
  EXPECT_TRUE(config.sip.allow.empty());
}

TEST(Config, ReadsEveryKind) {
  Config config;
  const auto read = read_text(R"(
data-dir = "/srv/junctor"
log = "debug"
[listen]
rtmp = "127.0.0.1:19350"
http = "off"
rtp-ports = "30000-30099"
[rtmp]
identity = "at-publish"
applications = ["call", "live"]
networks = ["10.0.0.0/8"]
handshake-ms = 2000
[accounts]
webhook = "https://example.org/check"
webhook-timeout-ms = 900
webhook-secret-file = "/etc/junctor/secret"
webhook-ca-file = "/etc/junctor/ca.pem"
webhook-requests = 5
[sip]
tcp = false
answer-timeout-s = 20
connections = 30
connections-per-address = 3
requests = 500
requests-per-address = 50
allow = ["sip:*@example.org", { uri = "sip:*@carrier", user = "u", password = "p", proxy = "sip:x", srtp = "require" }]
srtp = "off"
tls-ca = "/etc/ca.pem"
tls-verify = false
[watchdog]
interval-ms = 100
tries = 5
[calls]
max = 7
)",
                              "junctor.toml", config);
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_EQ(config.data_dir, "/srv/junctor");
  EXPECT_EQ(config.log, LogLevel::Debug);
  EXPECT_EQ(config.listen.rtmp->to_string(), "127.0.0.1:19350");
  EXPECT_FALSE(config.listen.http);
  EXPECT_EQ(config.listen.sip->port, 5060) << "not in the file: the default";
  EXPECT_EQ(config.listen.rtp_low, 30000);
  EXPECT_EQ(config.listen.rtp_high, 30099);
  EXPECT_EQ(config.rtmp.identity, Identity::AtPublish);
  EXPECT_EQ(config.rtmp.applications, (std::vector<std::string>{"call", "live"}));
  EXPECT_EQ(config.rtmp.networks.size(), 1U);
  EXPECT_EQ(config.rtmp.limits.handshake_ms, 2000);
  EXPECT_FALSE(config.sip.tcp);
  EXPECT_EQ(config.sip.answer_timeout.count(), 20);
  EXPECT_EQ(config.sip.connections.in_all, 30U);
  EXPECT_EQ(config.sip.connections.per_peer, 3U);
  EXPECT_EQ(config.sip.requests, 500U);
  EXPECT_EQ(config.sip.requests_per_address, 50U);
  ASSERT_EQ(config.sip.allow.size(), 2U);
  EXPECT_EQ(config.sip.allow[0].uri, "sip:*@example.org");
  EXPECT_EQ(config.sip.allow[1].password, "p");
  EXPECT_EQ(config.sip.allow[0].srtp, std::nullopt);
  EXPECT_EQ(config.sip.allow[1].srtp, rtp::SrtpPolicy::Require);
  EXPECT_EQ(config.sip.srtp, rtp::SrtpPolicy::Off);
  EXPECT_EQ(config.sip.tls_ca, "/etc/ca.pem");
  EXPECT_FALSE(config.sip.tls_verify);
  EXPECT_EQ(config.watchdog.interval.count(), 100);
  EXPECT_EQ(config.watchdog.tries, 5U);
  EXPECT_EQ(config.calls.max, 7U);
  EXPECT_EQ(config.accounts.webhook, "https://example.org/check");
  EXPECT_EQ(config.accounts.webhook_timeout.count(), 900);
  EXPECT_EQ(config.accounts.webhook_secret_file, "/etc/junctor/secret");
  EXPECT_EQ(config.accounts.webhook_ca_file, "/etc/junctor/ca.pem");
  EXPECT_EQ(config.accounts.webhook_requests, 5U);
}

TEST(Config, UnknownKeyNamesLineAndNearest) {
  EXPECT_EQ(error_of("[rtmp]\n\nidentiy = \"at-connect\"\n"),
            "junctor.toml line 3: unknown key 'rtmp.identiy'; did you mean 'rtmp.identity'?");
  EXPECT_EQ(error_of("[watchdgo]\ntries = 3\n"),
            "junctor.toml line 1: unknown key 'watchdgo.tries'; did you mean 'watchdog.tries'?");
  EXPECT_EQ(error_of("zzzzzzzzzzzzzz = 1\n"), "junctor.toml line 1: unknown key 'zzzzzzzzzzzzzz'");
}

TEST(Config, WrongValueSaysWhatIsRight) {
  struct Row {
    const char *text, *part;
  };
  for (const Row &row :
       {Row{"log = 3", "line 1: log: must be a text"},
        Row{"log = \"loud\"", "debug, info"},
        Row{"[watchdog]\ntries = 0", "line 2: watchdog.tries: must be a whole number from 1"},
        Row{"[watchdog]\ntries = 1.5", "whole number"},
        Row{"[watchdog]\ntries = \"3\"", "whole number"},
        Row{"[listen]\nrtmp = \"1935\"", "ADDRESS:PORT"},
        Row{"[listen]\nrtp-ports = \"20000\"", "LOW-HIGH"},
        Row{"[listen]\nrtp-ports = 20000", "LOW-HIGH"},
        Row{"[rtmp]\nidentity = \"never\"", "at-connect"},
        Row{"[rtmp]\napplications = [1]", "list of texts"},
        Row{"[rtmp]\napplications = []", "no terminal can connect"},
        Row{"[rtmp]\napplications = [\"call\", \"\"]", "'' can be no application"},
        Row{"[rtmp]\napplications = [\"my call\"]", "no blanks"},
        Row{"public-host = \"\"", "leave it out"},
        Row{"public-host = \"gw.example/call\"", "'gw.example/call' is no host"},
        Row{"public-host = \"https://gw.example\"", "is no host"},
        Row{"public-host = \"gw.example:1935\"", "is no host"},
        Row{"public-host = \"gw example\"", "is no host"},
        Row{"[sip]\nmedia-address = \"host.example\"",
            "line 2: sip.media-address: 'host.example' is no address that media can be sent to"},
        Row{"[sip]\nmedia-address = \"0.0.0.0\"", "no address that media can be sent to"},
        Row{"[sip]\nmedia-address = \"[::1]\"", "2001:db8::7"},
        Row{"[sip]\ntcp = 1", "true or false"},
        Row{"[sip]\nallow = \"sip:*@a\"", "list of addr"},
        Row{"[sip]\nformats = [\"h264\", \"opus\"]",
            "there is no format 'opus'; there are PCMA/8000"},
        Row{"[sip]\nallow = [{ uri = \"sip:a@b\", pasword = \"x\" }]", "list of addr"},
        Row{"[sip]\nallow = [{ user = \"x\" }]", "list of addr"},
        Row{"[sip]\nallow = [{ uri = \"sip:*@a\", srtp = \"on\" }]", "srtp must be \"off\""},
        Row{"[sip]\nsrtp = \"always\"", "\"prefer\" or \"require\""},
        Row{"log = ", "line 1: "},
        Row{"[rtmp]\nnetworks = [\"10.0.0.0/40\"]", "line 2: rtmp.networks: '10.0.0.0/40'"},
        Row{"[turn]\nallowed-peers = [\"300.1.1.1\"]", "line 2: turn.allowed-peers: '300.1.1.1'"},
        Row{"[turn]\nallowed-peers = [\"::/64\"]", "turn.allowed-peers: '::/64' would be all"},
        Row{"[accounts]\nwebhook = \"example.org\"", "line 2: accounts.webhook: must be a URL"},
        Row{"[accounts]\nwebhook = \"http://u:p@example.org/\"", "webhook-secret-file"},
        Row{"watchdog = 3", "unknown key 'watchdog'"}})
    EXPECT_NE(error_of(row.text).find(row.part), std::string::npos)
        << row.text << ": " << error_of(row.text);
}

TEST(Config, PasswordsOpenRtmpWhereTheyAreAskedFor) {
  Config config;
  EXPECT_TRUE(passwords_open_rtmp(config));
  config.rtmp.identity = Identity::AtPublish;
  EXPECT_FALSE(passwords_open_rtmp(config));
  config.rtmp.identity = Identity::AtConnect;
  config.accounts.webhook = "https://example.org/check";
  EXPECT_FALSE(passwords_open_rtmp(config));
}

constexpr const char *kTrunk =
    "[[sip.trunks]]\nname = \"carrier\"\nuri = \"sip:carrier.example\"\nuser = \"u\"\n";

TEST(Config, TrunksAreTablesOfTheirOwn) {
  Config config;
  const auto read = read_text(
      std::string(kTrunk) +
          "password = \"p\"\nproxy = \"sip:x\"\nexpires-s = 120\ndial = [\"+49*\", \"0*\"]\n"
          "accounts = [\"alice\"]\nfrom = \"f\"\nasserted = \"sip:1@c\"\naccount = \"bob\"\n"
          "numbers = { \"+4930\" = \"carol\" }\nnetworks = [\"192.0.2.0/24\"]\n"
          "srtp = \"require\"\n"
          "[[sip.trunks]]\nname = \"fixed\"\nuri = \"sip:192.0.2.1\"\nuser = \"x\"\n"
          "register = false\n",
      "x.toml", config);
  ASSERT_TRUE(read) << read.error().detail;
  ASSERT_EQ(config.sip.trunks.size(), 2U);
  const Trunk &carrier = config.sip.trunks[0];
  EXPECT_EQ(carrier.dial, (std::vector<std::string>{"+49*", "0*"}));
  EXPECT_EQ(carrier.numbers.at("+4930"), "carol");
  EXPECT_EQ(carrier.expires, std::chrono::seconds(120));
  EXPECT_TRUE(carrier.accounts == std::vector<std::string>{"alice"});
  EXPECT_TRUE(carrier.registers);
  EXPECT_EQ(carrier.srtp, rtp::SrtpPolicy::Require);
  EXPECT_EQ(config.sip.trunks[1].srtp, std::nullopt);
  EXPECT_FALSE(config.sip.trunks[1].registers);
  EXPECT_TRUE(config.sip.trunks[1].accounts.empty()) << "nobody, unless told";
}

TEST(Config, TrunksSayWhatIsWrong) {
  for (const auto &[text, part] : std::vector<std::pair<std::string, std::string>>{
           {"[sip]\ntrunks = 1", "[[sip.trunks]]"},
           {"[[sip.trunks]]\nuri = \"sip:x\"\n", "`name`"},
           {"[[sip.trunks]]\nname = \"a b\"\n", "`name`"},
           {"[[sip.trunks]]\nname = \"a\"\n", "needs `uri`"},
           {std::string(kTrunk) + "pasword = \"p\"", "did you mean 'password'"},
           {std::string(kTrunk) + "password = 1", "password: must be a text"},
           {std::string(kTrunk) + "password = \"p\"\npassword-file = \"f\"", "both"},
           {std::string(kTrunk) + "expires-s = 5", "60 to 86400"},
           {std::string(kTrunk) + "dial = \"0\"", "list of texts"},
           {std::string(kTrunk) + "numbers = { a = 1 }", "numbers and their accounts"},
           {std::string(kTrunk) + "networks = [\"x\"]", "networks"},
           {std::string(kTrunk) + "dial = [\"030-*\"]", "x.toml line 1: "},
           {std::string(kTrunk) + "dial = [\"030-*\"]", "dial: '030-*' is no number"},
           {std::string(kTrunk) + "dial = [\"\"]", "dial: ''"},
           {std::string(kTrunk) + "accounts = [\"alice\", \"B ob\"]", "accounts: 'B ob'"},
           {std::string(kTrunk) + "account = \"Bob\"", "account: 'Bob'"},
           {std::string(kTrunk) + "numbers = { \"1\" = \"Bob\" }", "numbers: 'Bob'"},
           {std::string(kTrunk) + "proxy = \"carrier.example\"", "proxy: "},
           {std::string(kTrunk) + "asserted = \"+4930\"", "asserted: "},
           {"[[sip.trunks]]\nname = \"a\"\nuser = \"u\"\nuri = \"carrier example\"\n", "uri: "},
           {std::string(kTrunk) + "srtp = \"yes\"", "srtp: must be \"off\", \"prefer\""},
           {std::string(kTrunk) + "srtp = true", "srtp: must be \"off\", \"prefer\""},
           {std::string(kTrunk) + "register = false\naccount = \"a\"", "known by `networks`"},
           {std::string(kTrunk) + kTrunk, "two trunks"},
           {"[sip]\nsession-expires-s = 30", "90 to 86400"}}) {
    Config config;
    const auto read = read_text(text, "x.toml", config);
    ASSERT_FALSE(read) << text;
    EXPECT_NE(read.error().detail.find(part), std::string::npos) << read.error().detail;
  }
}

TEST(Config, SaysWhoLendsDevicesAndWhichIsAsked) {
  Config config;
  EXPECT_TRUE(config.nodes.accept);
  EXPECT_EQ(config.nodes.rule, nodes::Rule::Nearest);
  for (const auto &[word, rule] : {std::pair{"least-loaded", nodes::Rule::LeastLoaded},
                                   {"cheapest", nodes::Rule::Cheapest},
                                   {"nearest", nodes::Rule::Nearest}}) {
    const auto read =
        read_text("[nodes]\naccept = false\nrule = \"" + std::string(word) + "\"\n", "t", config);
    ASSERT_TRUE(read) << read.error().detail;
    EXPECT_FALSE(config.nodes.accept);
    EXPECT_EQ(config.nodes.rule, rule);
  }
  for (const auto &[text, part] : std::initializer_list<std::pair<const char *, const char *>>{
           {"[nodes]\nrule = \"best\"\n", "must be nearest, least-loaded or cheapest"},
           {"[nodes]\nrule = 1\n", "nodes.rule"},
           {"[nodes]\naccept = \"no\"\n", "nodes.accept"},
           {"[nodes]\nrules = \"cheapest\"\n", "nodes.rule"}}) {
    Config wrong;
    const auto result = read_text(text, "t", wrong);
    ASSERT_FALSE(result) << text;
    EXPECT_NE(result.error().detail.find(part), std::string::npos) << result.error().detail;
  }
}

TEST(Config, RegionsAreNamedServers) {
  Config config;
  const auto read = read_text(
      "[[regions]]\nname = \"eu-west\"\nstun = \"stun.example.org\"\n"
      "[[regions]]\nname = \"us\"\nstun = \"[2001:db8::1]:3479\"\n",
      "t", config);
  ASSERT_TRUE(read) << read.error().detail;
  ASSERT_EQ(config.regions.size(), 2U);
  EXPECT_EQ(config.regions[0].name, "eu-west");
  EXPECT_EQ(config.regions[0].stun, "stun.example.org:3478");
  EXPECT_EQ(config.regions[1].stun, "[2001:db8::1]:3479");
  for (const auto &[text, part] : std::initializer_list<std::pair<const char *, const char *>>{
           {"regions = 1", "[[regions]]"},
           {"[[regions]]\nstun = \"x\"\n", "`name`"},
           {"[[regions]]\nname = \"a\"\n", "HOST:PORT"},
           {"[[regions]]\nname = \"a\"\nstun = \"x:0\"\n", "region 'a'"},
           {"[[regions]]\nname = \"a\"\nstuhn = \"x\"\n", "'stuhn'"},
           {"[[regions]]\nname = \"a\"\nstun = \"x\"\n[[regions]]\nname = \"a\"\nstun = \"y\"\n",
            "two regions"}}) {
    Config wrong;
    const auto result = read_text(text, "t", wrong);
    ASSERT_FALSE(result) << text;
    EXPECT_NE(result.error().detail.find(part), std::string::npos) << result.error().detail;
  }
}

TEST(Config, StunHasAnAddressAndAnother) {
  Config config;
  ASSERT_TRUE(
      read_text("[listen]\nstun = \"192.0.2.1:3478\"\n[stun]\n"
                "alternate = \"192.0.2.2:3479\"\nrequests-per-second = 7\n",
                "t", config));
  EXPECT_EQ(config.listen.stun->to_string(), "192.0.2.1:3478");
  EXPECT_EQ(config.stun.alternate->to_string(), "192.0.2.2:3479");
  EXPECT_EQ(config.stun.requests_per_second, 7U);
  EXPECT_EQ(Config().listen.stun->to_string(), "0.0.0.0:3478");
}

TEST(Config, BothAddressesOfStunAreOfOneFamily) {
  const auto checked = [](const std::string &first, const std::string &second) {
    Config config;
    EXPECT_TRUE(
        read_text("[listen]\nstun = \"" + first + "\"\n[stun]\nalternate = \"" + second + "\"\n",
                  "t", config));
    const auto good = check_stun(config);
    return good ? "" : good.error().detail;
  };
  EXPECT_EQ(checked("127.0.0.1:3478", "127.0.0.2:3479"), "");
  EXPECT_EQ(checked("[::1]:3478", "[::1]:3479"), "");
  EXPECT_EQ(checked("[::1]:3478", "auto"), "");
  EXPECT_EQ(checked("off", "auto"), "");
  EXPECT_EQ(checked("127.0.0.1:3478", "[::1]:3479"),
            "stun.alternate is [::1]:3479, but listen.stun (--stun) 127.0.0.1:3478: no client "
            "reaches both from one socket; name two addresses of IPv4 or two of IPv6, or leave it "
            "at \"auto\"");
  EXPECT_NE(checked("[::1]:3478", "127.0.0.1:3479"), "");
  EXPECT_NE(checked("off", "127.0.0.1:3479").find("set both or neither"), std::string::npos);
}

TEST(Config, StunHasTheNextPortBesides) {
  Config config;
  const auto alternate = [&](const std::string &text) {
    const auto read = read_text(text, "t", config);
    EXPECT_TRUE(read) << read.error().detail;
    const auto found = stun_alternate(config);
    return found ? found->to_string() : "none";
  };
  EXPECT_EQ(alternate(""), "0.0.0.0:3479");
  EXPECT_EQ(alternate("[listen]\nstun = \"[2001:db8::1]:5059\"\n"), "[2001:db8::1]:5061")
      << "phones have 5060";
  EXPECT_EQ(alternate("[listen]\nstun = \"0.0.0.0:3479\"\n"), "0.0.0.0:3480");
  EXPECT_EQ(alternate("[turn]\nserver = \"auto\"\n"), "0.0.0.0:3481") << "the relay has 3480";
  EXPECT_EQ(alternate("[listen]\nstun = \"127.0.0.1:0\"\n"), "127.0.0.1:0");
  EXPECT_EQ(alternate("[stun]\nalternate = \"192.0.2.2:3479\"\n"), "192.0.2.2:3479");
  EXPECT_EQ(alternate("[stun]\nalternate = \"off\"\n"), "none");
  EXPECT_EQ(alternate("[stun]\nalternate = \"auto\"\n[listen]\nstun = \"off\"\n"), "none");
  const auto wrong = read_text("[stun]\nalternate = \"next\"\n", "t", config);
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().detail.find("`off`, or `auto`"), std::string::npos);
}

TEST(Config, FileWithAPasswordMustBePrivate) {
  const TemporaryDirectory dir;
  const std::string path = dir.path() + "/junctor.toml";
  std::ofstream(path) << "[sip]\nallow = [{ uri = \"sip:*@a\", password = \"p\" }]\n";
  ::chmod(path.c_str(), 0644);
  Config config;
  const auto open = read_file(path, config);
  ASSERT_FALSE(open);
  EXPECT_NE(open.error().detail.find("chmod 600"), std::string::npos);
  ::chmod(path.c_str(), 0600);
  EXPECT_TRUE(read_file(path, config));
  EXPECT_FALSE(read_file(dir.path() + "/none.toml", config));
  EXPECT_FALSE(read_file(dir.path(), config));
}

TEST(Config, EveryKeyIsInTheManual) {
  const char *source = std::getenv("JUNCTOR_SOURCE");
  ASSERT_NE(source, nullptr);
  std::ifstream file(std::string(source) + "/docs/operations.md");
  const std::string manual((std::istreambuf_iterator<char>(file)), {});
  ASSERT_FALSE(manual.empty());
  for (const auto &[key, explanation] : keys()) {
    EXPECT_NE(manual.find("`" + key + "`"), std::string::npos) << key;
    EXPECT_FALSE(explanation.empty()) << key;
  }
}

TEST(Config, PortRange) {
  EXPECT_TRUE(parse_port_range("20000-29999"));
  EXPECT_TRUE(parse_port_range("20000-20003"));
  for (const char *text : {"", "20000", "20000-", "-20000", "20000-20000", "20000-20002", "2-1",
                           "80-90", "20000-70000", "20000-20001x", "a-b"})
    EXPECT_FALSE(parse_port_range(text)) << text;
}

TEST(Nearest, FindsSlipsAndNothingFarOff) {
  EXPECT_EQ(distance("kitten", "sitting"), 3U);
  EXPECT_EQ(distance("tires", "tries"), 1U) << "neighbours swapped";
  EXPECT_EQ(distance("", "abc"), 3U);
  EXPECT_EQ(nearest("serv", {"serve", "calls"}), "serve");
  EXPECT_EQ(nearest("hang-up", {"serve", "hangup"}), "hangup");
  EXPECT_FALSE(nearest("banana", {"serve", "hangup"}));
  EXPECT_EQ(nearest("lgo", {"log", "sip"}), "log");
  EXPECT_FALSE(nearest("foo", {"log"})) << "two of three letters";
  EXPECT_FALSE(nearest(std::string(100000, 'x'), {"serve"}));
}

TEST(Redact, HidesTokensAndPasswords) {
  const std::string jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln";
  EXPECT_EQ(redact("rtmp://h/call?token=" + jwt + "/alice?to=bob"),
            "rtmp://h/call?token=***/alice?to=bob");
  EXPECT_EQ(redact("seen " + jwt + " twice " + jwt), "seen eyJ*** twice eyJ***");
  EXPECT_EQ(redact("Authorization: Bearer abc"), "Authorization: Bearer ***");
  EXPECT_EQ(redact("a?password=geheim&x=1"), "a?password=***&x=1");
  EXPECT_EQ(redact("two\r\nlines"), "two  lines");
  EXPECT_EQ(redact("to rtmp://alice:geheim@h/call/alice"), "to rtmp://alice:***@h/call/alice");
  EXPECT_EQ(redact("sip:bob@h:5060 at http://h:80/a@b:c"), "sip:bob@h:5060 at http://h:80/a@b:c");
  EXPECT_EQ(redact("call?authmod=adobe&response=abc=="), "call?authmod=adobe&response=***");
  EXPECT_EQ(redact("plain"), "plain");
}

TEST(Config, TakesHostsAndAddressesOfAllKinds) {
  for (const auto &[text, host] :
       {std::pair{"gw.example.org", "gw.example.org"}, std::pair{"203.0.113.5", "203.0.113.5"},
        std::pair{"2001:db8::7", "[2001:db8::7]"}, std::pair{"[2001:db8::7]", "[2001:db8::7]"},
        std::pair{"my_host", "my_host"}}) {
    const auto parsed = parse_public_host(text);
    ASSERT_TRUE(parsed) << text << ": " << parsed.error().detail;
    EXPECT_EQ(*parsed, host);
  }
  for (const char *address : {"", "192.0.2.7", "2001:db8::7"})
    EXPECT_TRUE(parse_media_address(address)) << address;
  EXPECT_TRUE(check_applications({"call", "live/studio-1"}));
}

TEST(Config, TellsWhatItNamesThatIsNotThere) {
  EXPECT_TRUE(certificate_lacks({}).empty());
  const auto alone = certificate_lacks({"/nowhere/c.pem", ""});
  ASSERT_EQ(alone.size(), 1U);
  EXPECT_EQ(alone.front().what, "tls.certificate is set alone");
  const auto absent = certificate_lacks({"/nowhere/c.pem", "/nowhere/k.pem"});
  ASSERT_EQ(absent.size(), 1U);
  EXPECT_NE(absent.front().what.find("/nowhere/c.pem"), std::string::npos) << absent.front().what;

  std::vector<Trunk> trunks(2);
  trunks[0].name = "carrier";
  trunks[0].accounts = {"*", "alice", "bob"};
  trunks[1].name = "other";
  trunks[1].account = "carol";
  trunks[1].numbers = {{"4930123", "alice"}, {"4930124", "dave"}};
  std::string text;
  for (const Lack &lack :
       account_lacks(trunks, [](const std::string &name) { return name == "alice"; }))
    text += lack.what + "|" + lack.fix + "\n";
  EXPECT_EQ(text,
            "the account bob, which the trunk carrier names, does not exist|junctor account add "
            "bob, or mend sip.trunks\n"
            "the account carol, which the trunk other names, does not exist|junctor account add "
            "carol, or mend sip.trunks\n"
            "the account dave, which the trunk other names, does not exist|junctor account add "
            "dave, or mend sip.trunks\n");
}

TEST(Places, PublicHost) {
  Config config;
  EXPECT_EQ(public_host(config, {"192.0.2.7", 1935}), "192.0.2.7");
  EXPECT_EQ(public_host(config, {"2001:db8::1", 1935}), "[2001:db8::1]");
  EXPECT_FALSE(public_host(config, {"0.0.0.0", 1935}).empty());
  config.public_host = "gw.example.org";
  EXPECT_EQ(public_host(config, {"192.0.2.7", 1935}), "gw.example.org");
  EXPECT_EQ(host_and_port("h", 1935, 1935), "h");
  EXPECT_EQ(host_and_port("h", 1936, 1935), "h:1936");
}

namespace {

/// The certificate that a server of this host shows where none is configured.
std::string own_certificate(const TemporaryDirectory &dir, const std::string &host) {
  Config config;
  config.data_dir = dir.path();
  const auto files = certificate_files(config, host, nullptr);
  EXPECT_TRUE(files) << host << ": " << files.error().detail;
  if (!files) return "";
  std::ifstream file(files->certificate);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST(Certificate, CanBeForAnAddressOfIpv6AsUrlsHaveIt) {
  const TemporaryDirectory dir;
  EXPECT_NE(own_certificate(dir, "[2001:db8::1]"), "");
}

TEST(Certificate, IsKeptForItsHostAndMadeAnewForAnother) {
  const TemporaryDirectory dir;
  std::string before;
  for (const char *host : {"192.0.2.7", "gw.example.org", "192.0.2.8", "[2001:db8::1]"}) {
    const std::string made = own_certificate(dir, host);
    EXPECT_NE(made, before) << host;
    EXPECT_EQ(own_certificate(dir, host), made) << host;
    EXPECT_EQ(own_certificate(dir, "localhost"), made) << "each is of this machine too";
    before = made;
  }
}
