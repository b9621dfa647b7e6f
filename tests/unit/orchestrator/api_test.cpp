// SPDX-License-Identifier: LGPL-2.1-or-later
// Routes, their answers and their mistakes.
#include <sys/stat.h>

#include <fstream>
#include <set>

#include "accounts/secrets.h"
#include "api_fixture.h"
#include "broken_store.h"

using namespace junctor;
using namespace junctor::api;
using namespace std::chrono_literals;
using nlohmann::json;

TEST_F(ApiTest, HealthIsOpenAndEverythingElseIsNot) {
  for (const auto &route : Api::routes()) {
    std::string path(route.pattern);
    for (auto brace = path.find('{'); brace != std::string::npos; brace = path.find('{'))
      path.replace(brace, path.find('}') - brace + 1, "alice");
    for (const char *credentials : {"", "Bearer wrong", "Bearer ", "Basic eDp5", "Basic ???"}) {
      Request request = make(std::string(route.method), path);
      request.headers["authorization"] = credentials;
      const Response response = ask(request);
      if (route.access == Api::Access::Open) {
        EXPECT_EQ(response.status, 200);
      } else {
        expect_problem(response, 401);
        EXPECT_EQ(header(response, "WWW-Authenticate").substr(0, 6), "Bearer");
      }
    }
  }
}

TEST_F(ApiTest, HealthSaysTheVersionAndWhereStunIs) {
  const Response response = ask(make("GET", "/api/v1/health"));
  EXPECT_EQ(json::parse(response.body),
            json({{"status", "ok"}, {"version", JUNCTOR_VERSION}, {"stun", nullptr}}));
}

TEST_F(ApiTest, RegionsAreForEverybody) {
  Request request = make("GET", "/api/v1/regions");
  request.headers.clear();
  const Response response = ask(request);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(json::parse(response.body),
            json::parse(R"({"regions": [{"name": "eu-west", "stun": "stun.example.org:3478"}]})"));
}

TEST_F(ApiTest, UnknownPathsAndMethods) {
  for (const char *path : {"/", "", "/api/v1/nothing", "/api/v1/calls/", "/api/v1/calls/a/b",
                           "/api/v1//calls", "api/v1/calls"})
    expect_problem(ask(make("GET", path)), 404);
  const Response response = ask(make("PUT", "/api/v1/calls"));
  expect_problem(response, 405);
  EXPECT_EQ(header(response, "Allow"), "GET, HEAD, POST");
  EXPECT_EQ(ask(make("HEAD", "/api/v1/health")).status, 200);
}

TEST_F(ApiTest, BodyMustBeJson) {
  Request request = make("POST", "/api/v1/accounts", "name=bob");
  request.headers["content-type"] = "application/x-www-form-urlencoded";
  expect_problem(ask(request), 415);
  request.headers.erase("content-type");
  expect_problem(ask(request), 415);
  request.headers["content-type"] = "application/json; charset=utf-8";
  expect_problem(ask(request), 400);
}

TEST_F(ApiTest, AccountIsMadeWithUrlsThatWork) {
  const Response response = ask(make("POST", "/api/v1/accounts", R"({"name": "bob"})"));
  ASSERT_EQ(response.status, 201) << response.body;
  EXPECT_EQ(header(response, "Location"), "/api/v1/accounts/bob");
  EXPECT_EQ(header(response, "Cache-Control"), "no-store");
  const json body = json::parse(response.body);
  const std::string token = body["token"];
  EXPECT_EQ(body["push_url"], "rtmp://gw.example.org/call?token=" + token + "/bob?to=CALLEE");
  EXPECT_EQ(body["pull_url"], "rtmp://gw.example.org/call?token=" + token + "/bob");
  EXPECT_EQ(body["rtmps_push_url"],
            "rtmps://gw.example.org:4430/call?token=" + token + "/bob?to=CALLEE");
  EXPECT_EQ(body["rtmps_pull_url"], "rtmps://gw.example.org:4430/call?token=" + token + "/bob");
  EXPECT_EQ(body["sip"], "sip:bob@gw.example.org:5070");
  EXPECT_TRUE(book_->verify(token, kNow + 5));
  EXPECT_TRUE(book_->verify_password("bob", body["password"].get<std::string>()));
  const std::string pull =
      "rtmp://bob:" + body["password"].get<std::string>() + "@gw.example.org/call/bob";
  EXPECT_EQ(body["password_pull_url"], pull);
  EXPECT_EQ(body["password_push_url"], pull + "?to=CALLEE");
  EXPECT_EQ(body["rtmps_password_pull_url"],
            "rtmps://bob:" + body["password"].get<std::string>() + "@gw.example.org:4430/call/bob");
  const json list = json::parse(ask(make("GET", "/api/v1/accounts")).body);
  ASSERT_EQ(list["accounts"].size(), 2U);
  EXPECT_EQ(list["accounts"][1]["name"], "bob");
  EXPECT_EQ(list["accounts"][0]["registered"][0], "sip:alice@192.0.2.9");
  EXPECT_EQ(list.dump().find("ha1"), std::string::npos);
}

TEST_F(ApiTest, AccountMistakes) {
  for (const auto &[body, status] : std::vector<std::pair<std::string, int>>{
           {"{", 400},
           {"[]", 400},
           {"{}", 422},
           {R"({"name": 3})", 422},
           {R"({"name": "Bob"})", 422},
           {R"({"name": "bob", "password": "short"})", 422},
           {R"({"name": "bob", "password": 1})", 422},
           {R"({"name": "bob", "nmae": "x"})", 422},
           {R"({"name": "bob", "rights": ["fly"]})", 422},
           {R"({"name": "bob", "rights": []})", 422},
           {R"({"name": "bob", "expires_in": "x"})", 422},
           {R"({"name": "bob", "expires_in": -1})", 422},
           {R"({"name": )" + std::string(30000, '[') + std::string(30000, ']') + "}", 422},
           {R"({"name": "alice"})", 409}})
    expect_problem(ask(make("POST", "/api/v1/accounts", body)), status);
  EXPECT_FALSE(book_->snapshot()->find("bob")) << "nothing is left of what was refused";
  expect_problem(ask(make("DELETE", "/api/v1/accounts/bob")), 404);
}

TEST_F(ApiTest, FilesThatAreAtFaultAreNoMistakeOfTheClient) {
  const std::string whole = *accounts::read_private_file(book_->path(), 65536);
  const auto fails = [&] {
    for (const Request &request :
         {make("POST", "/api/v1/accounts", R"({"name": "bob"})"),
          make("DELETE", "/api/v1/accounts/alice"), make("DELETE", "/api/v1/accounts/alice/tokens"),
          make("DELETE", "/api/v1/accounts/alice/tokens/0a1b")}) {
      const Response response = ask(request);
      expect_problem(response, 500);
      EXPECT_EQ(response.body.find(dir_.path()), std::string::npos) << response.body;
      EXPECT_NE(logged_.back().find(book_->path()), std::string::npos);
    }
  };
  ASSERT_EQ(::chmod(book_->path().c_str(), 0644), 0);
  fails();
  ASSERT_TRUE(accounts::write_private_file(book_->path(), "{"));
  fails();
  ASSERT_TRUE(accounts::write_private_file(book_->path(), whole));
  EXPECT_EQ(ask(make("DELETE", "/api/v1/accounts/alice")).status, 204);
}

TEST_F(ApiTest, AnAccountThatIsRemovedTwiceAtOnceIsNotFound) {
  std::vector<int> statuses;
  for (int i = 0; i < 2; ++i)
    api_->handle(make("DELETE", "/api/v1/accounts/alice"),
                 [&](const Response &response) { statuses.push_back(response.status); });
  while (statuses.size() < 2) g_main_context_iteration(nullptr, TRUE);
  EXPECT_EQ(statuses, (std::vector<int>{204, 404}));
}

TEST_F(ApiTest, RemovedAccountIsExpelled) {
  const Response response = ask(make("DELETE", "/api/v1/accounts/alice"));
  EXPECT_EQ(response.status, 204);
  EXPECT_TRUE(response.body.empty());
  EXPECT_FALSE(book_->snapshot()->find("alice"));
  EXPECT_EQ(expelled_, std::vector<std::string>{"alice removed"});
}

TEST_F(ApiTest, OwnerMakesAndRevokesTokensWithThePassword) {
  const auto basic = [](const std::string &pair) {
    const std::unique_ptr<char, Releaser<g_free>> text(
        g_base64_encode(reinterpret_cast<const guchar *>(pair.data()), pair.size()));
    return std::string("Basic ") + text.get();
  };
  Request request =
      make("POST", "/api/v1/accounts/alice/tokens", R"({"rights": ["pull"], "expires_in": 60})");
  request.headers["authorization"] = basic("alice:correct horse");
  const Response made = ask(request);
  ASSERT_EQ(made.status, 201) << made.body;
  const json body = json::parse(made.body);
  const std::string token = body["token"];
  const auto claims = book_->verify(token, kNow + 5);
  ASSERT_TRUE(claims);
  EXPECT_EQ(claims->rights, (accounts::Rights{false, true}));
  EXPECT_EQ(claims->expires, kNow + 65);
  EXPECT_FALSE(body.contains("push_url"));

  Request revoke = make("DELETE", "/api/v1/accounts/alice/tokens/" + claims->id);
  revoke.headers["authorization"] = basic("alice:correct horse");
  EXPECT_EQ(ask(revoke).status, 204);
  EXPECT_FALSE(book_->verify(token, kNow + 5));
  EXPECT_EQ(expelled_, std::vector<std::string>{"alice token " + claims->id});
  expelled_.clear();
  revoke.path = "/api/v1/accounts/alice/tokens";
  EXPECT_EQ(ask(revoke).status, 204);
  EXPECT_EQ(expelled_, std::vector<std::string>{"alice"});

  request.headers["authorization"] = basic("alice:wrong horse!");
  expect_problem(ask(request), 401);
  // Another's account, and what only the operator may do.
  ASSERT_TRUE(book_->add("bob", "another password", kNow));
  request.headers["authorization"] = basic("bob:another password");
  expect_problem(ask(request), 401);
  request.path = "/api/v1/calls";
  expect_problem(ask(request), 401);
}

TEST_F(ApiTest, WrongCredentialsAreLoggedWithTheirSenderOnly) {
  Request request = make("GET", "/api/v1/calls");
  request.headers["authorization"] = "Bearer guessed-secret";
  expect_problem(ask(request), 401);
  EXPECT_EQ(logged_, std::vector<std::string>{"http 127.0.0.1:4711: refused at GET /api/v1/calls: "
                                              "wrong credentials"});
  request.headers.erase("authorization");  // guessed nothing
  expect_problem(ask(request), 401);
  EXPECT_EQ(logged_.size(), 1U);
}

TEST_F(ApiTest, CallIsStartedListedShownAndEnded) {
  const Response made =
      ask(make("POST", "/api/v1/calls", R"({"from": "alice", "to": "sip:x@example.org"})"));
  ASSERT_EQ(made.status, 202) << made.body;
  EXPECT_EQ(header(made, "Location"), "/api/v1/calls/call-1");
  EXPECT_EQ(json::parse(made.body)["state"], "trying");
  service_.views["call-1"].plan = {
      {"caller-to-callee", Medium::Audio, "aac", "pcma", true, "G.711 only."}};
  service_.views["call-1"].launch = "a ! b";
  const json shown = json::parse(ask(make("GET", "/api/v1/calls/call-1")).body);
  EXPECT_EQ(shown["plan"][0]["reason"], "G.711 only.");
  EXPECT_EQ(shown["launch"], "a ! b");
  // The list knows of it by the record and shows what is true now.
  store_->save(service_.views["call-1"]);
  service_.views["call-1"].state = calls::State::Ringing;
  const json list = json::parse(ask(make("GET", "/api/v1/calls")).body);
  ASSERT_EQ(list["calls"].size(), 1U);
  EXPECT_EQ(list["calls"][0]["state"], "ringing");
  EXPECT_TRUE(list["next"].is_null());
  EXPECT_FALSE(list["calls"][0].contains("launch"));
  EXPECT_EQ(ask(make("DELETE", "/api/v1/calls/call-1")).status, 204);
  EXPECT_EQ(service_.last_reason, EndReason::Admin);
  expect_problem(ask(make("DELETE", "/api/v1/calls/call-1")), 409);
  expect_problem(ask(make("DELETE", "/api/v1/calls/call-2")), 404);
  expect_problem(ask(make("GET", "/api/v1/calls/call-2")), 404);
  EXPECT_EQ(ask(make("GET", "/api/v1/calls/call-1")).status, 200) << "from its record";
}

TEST_F(ApiTest, ARecordThatCannotBeReadIsNotMissing) {
  calls::View call;
  call.id = "old";
  call.state = calls::State::Ended;
  store_->save(call);
  EXPECT_EQ(ask(make("GET", "/api/v1/calls/old")).status, 200);
  store::hide_calls(dir_.path());
  for (const char *method : {"GET", "DELETE"})
    expect_problem(ask(make(method, "/api/v1/calls/old")), 503);
}

TEST_F(ApiTest, ListIsPaged) {
  for (int i = 0; i < 5; ++i) {
    calls::View call;
    call.id = "c" + std::to_string(i);
    call.created = calls::WallTime(std::chrono::seconds(kNow + i));
    store_->save(call);
  }
  Request request = make("GET", "/api/v1/calls");
  request.query["limit"] = "3";
  const json first = json::parse(ask(request).body);
  EXPECT_EQ(first["calls"].size(), 3U);
  EXPECT_EQ(first["calls"][0]["id"], "c4");
  request.query["after"] = first["next"];
  const json second = json::parse(ask(request).body);
  EXPECT_EQ(second["calls"].size(), 2U);
  EXPECT_TRUE(second["next"].is_null());
  for (const auto &[name, value] :
       std::vector<std::pair<std::string, std::string>>{{"limit", "0"},
                                                        {"limit", "501"},
                                                        {"limit", "x"},
                                                        {"after", "x"},
                                                        {"state", "odd"},
                                                        {"lmit", "3"}}) {
    Request wrong = make("GET", "/api/v1/calls");
    wrong.query[name] = value;
    expect_problem(ask(wrong), 400);
  }
  request.query = {{"state", "running"}};
  EXPECT_TRUE(json::parse(ask(request).body)["calls"].empty());
}

TEST_F(ApiTest, CallMistakes) {
  for (const auto &[body, status] : std::vector<std::pair<std::string, int>>{
           {"{", 400},
           {"", 400},
           {"{}", 422},
           {R"({"from": "alice", "to": 3})", 422},
           {R"({"from": "alice", "to": "bob", "x": "y"})", 422},
           {R"({"from": "carol", "to": "alice"})", 422},
           {R"({"from": "alice", "to": "sip:x@example.net"})", 403},
           {R"({"from": "alice", "to": "carol"})", 403},
           {R"({"from": "alice", "to": "sip:x@example.org?a=b"})", 422}})
    expect_problem(ask(make("POST", "/api/v1/calls", body)), status);
  EXPECT_EQ(service_.not_started, (std::vector{EndReason::Unreachable, EndReason::Unreachable}))
      << "what no rule allows has a record; what is no request for a call has none";
  const auto good = make("POST", "/api/v1/calls", R"({"from": "alice", "to": "alice"})");
  for (const auto &[fault, status] : std::vector<std::pair<Fault, int>>{{Fault::Refused, 409},
                                                                        {Fault::Unreachable, 409},
                                                                        {Fault::BadInput, 422},
                                                                        {Fault::Internal, 500}}) {
    service_.failure = Error{fault, "No."};
    expect_problem(ask(good), status);
  }
  service_.failure.reset();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask(good).status, 202);
  expect_problem(ask(good), 503);
  EXPECT_EQ(service_.not_started.back(), EndReason::Overloaded);
  has_service_ = false;
  expect_problem(ask(good), 503);
}

TEST_F(ApiTest, PreferWaitAnswersWithTheOutcome) {
  Request request = make("POST", "/api/v1/calls", R"({"from": "alice", "to": "alice"})");
  request.headers["prefer"] = "respond-async, wait=30";
  std::optional<Response> answer;
  api_->handle(request, [&](Response response) { answer = std::move(response); });
  EXPECT_FALSE(answer);
  calls::View call = service_.views.at("call-1");
  call.state = calls::State::Ringing;
  api_->call_changed(call);
  EXPECT_FALSE(answer);
  calls::View other = call;
  other.id = "call-9";
  other.state = calls::State::Ended;
  api_->call_changed(other);
  EXPECT_FALSE(answer);
  call.state = calls::State::Answered;
  api_->call_changed(call);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(header(*answer, "Preference-Applied"), "wait=30");
  EXPECT_EQ(header(*answer, "Location"), "/api/v1/calls/call-1");
  EXPECT_EQ(json::parse(answer->body)["state"], "answered");
}

TEST_F(ApiTest, PreferWaitEndsWithTheOrchestrator) {
  Request request = make("POST", "/api/v1/calls", R"({"from": "alice", "to": "alice"})");
  request.headers["prefer"] = "wait=30";
  std::optional<Response> answer;
  api_->handle(request, [&](Response response) { answer = std::move(response); });
  api_->close();
  ASSERT_TRUE(answer);
  expect_problem(*answer, 503);
}

TEST_F(ApiTest, PreferWaitForACallThatEndedAtOnce) {
  // The call is over before start() returns: only its record is left.
  class Quick : public FakeService {
   public:
    explicit Quick(store::CallStore &store) : store_(store) {}
    Result<std::string> start(const std::string &, const std::string &) override {
      calls::View call;
      call.id = "gone";
      call.state = calls::State::Ended;
      call.reason = EndReason::Unreachable;
      store_.save(call);
      return call.id;
    }

   private:
    store::CallStore &store_;
  };
  Quick quick(*store_);
  Backend backend;
  backend.admin_token = "admin-secret";
  backend.book = book_;
  backend.rules = std::make_shared<accounts::DialRules>(*accounts::DialRules::compile({}));
  backend.workers = &workers_;
  backend.store = store_.get();
  backend.service = [&quick] { return &quick; };
  backend.seconds = [] { return kNow; };
  api_ = std::make_unique<Api>(std::move(backend));
  Request request = make("POST", "/api/v1/calls", R"({"from": "alice", "to": "alice"})");
  request.headers["prefer"] = "wait=30";
  const Response response = ask(request);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(json::parse(response.body)["reason"], "unreachable");
}

TEST(PreferredWait, ReadsRfc7240) {
  EXPECT_EQ(preferred_wait("wait=10"), 10s);
  EXPECT_EQ(preferred_wait("respond-async, wait=10"), 10s);
  EXPECT_EQ(preferred_wait("wait=10 , handling=lenient"), 10s);
  EXPECT_EQ(preferred_wait("wait=10;foo=bar"), 10s);
  EXPECT_EQ(preferred_wait("wait=100000"), 120s) << "bounded";
  for (const char *text : {"", "wait", "wait=", "wait=x", "wait=-1", "waiting=3", "wait=1.5"})
    EXPECT_FALSE(preferred_wait(text)) << text;
}

TEST_F(ApiTest, TheDescriptionHasExactlyOurRoutes) {
  const char *source = std::getenv("JUNCTOR_SOURCE");
  ASSERT_NE(source, nullptr);
  std::ifstream file(std::string(source) + "/docs/api.yaml");
  ASSERT_TRUE(file);
  std::set<std::string> described, routes;
  std::string line, path;
  bool in_paths = false;
  while (std::getline(file, line)) {
    if (!line.empty() && line[0] != ' ' && line[0] != '#') in_paths = line == "paths:";
    if (!in_paths) continue;
    const auto indent = line.find_first_not_of(' ');
    if (indent == 2) path = line.substr(2, line.find(':') - 2);
    if (indent == 4)
      for (const std::string method : {"get", "post", "put", "patch", "delete"})
        if (line.substr(4) == method + ":") described.insert(method + " " + path);
  }
  for (const auto &route : Api::routes()) {
    std::string method(route.method);
    for (char &c : method) c = static_cast<char>(c + 32);
    routes.insert(method + " " + std::string(route.pattern));
  }
  EXPECT_EQ(described, routes);
}

/// Keeps what it is sent.
class KeptFeed : public Feed {
 public:
  bool send(std::string_view text) override {
    if (there) sent += text;
    return there;
  }
  void end() override { ended = true; }
  bool there = true, ended = false;
  std::string sent;
};

std::size_t count_of(const std::string &text, const std::string &part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST_F(ApiTest, WatchersAreToldOfWhatRunsAndOfEachChange) {
  ASSERT_TRUE(service_.start("alice", "bob"));
  const Response response = ask(make("GET", "/api/v1/events"));
  ASSERT_EQ(response.status, 200);
  EXPECT_EQ(response.content_type, "text/event-stream");
  ASSERT_TRUE(response.stream);
  const auto feed = std::make_shared<KeptFeed>();
  response.stream(feed);
  EXPECT_EQ(feed->sent.find(": alive\n\nevent: call\ndata: {"), 0U) << feed->sent;
  EXPECT_NE(feed->sent.find("\"id\":\"call-1\""), std::string::npos) << feed->sent;
  feed->sent.clear();
  calls::View call = *service_.find("call-1");
  call.state = calls::State::Ended;
  call.detail = "line\nbreak \xff";  // not UTF-8
  api_->call_changed(call);
  EXPECT_EQ(feed->sent.find("event: call\ndata: {"), 0U) << feed->sent;
  EXPECT_EQ(count_of(feed->sent, "\n"), 3U) << "one line of data, and an empty one";
  api_->close();
  EXPECT_TRUE(feed->ended);
}

TEST_F(ApiTest, WatchersAreToldOfChannelsWhereNoCallsAreMade) {
  has_service_ = false;
  const Response response = ask(make("GET", "/api/v1/events"));
  ASSERT_TRUE(response.stream) << response.body;
  const auto feed = std::make_shared<KeptFeed>();
  response.stream(feed);
  rendezvous::View channel;
  channel.id = "c1";
  api_->channel_changed(channel);
  EXPECT_NE(feed->sent.find("event: channel\ndata: {"), std::string::npos) << feed->sent;
}

TEST_F(ApiTest, WatchersAreToldOfKeys) {
  const Response response = ask(make("GET", "/api/v1/events"));
  const auto feed = std::make_shared<KeptFeed>();
  response.stream(feed);
  feed->sent.clear();
  api_->digit_heard(
      {"call-1", "callee", {'#', std::chrono::milliseconds(90), sip::DtmfMethod::Info}});
  ASSERT_TRUE(feed->sent.starts_with("event: dtmf\ndata: {")) << feed->sent;
  const json told = json::parse(feed->sent.substr(feed->sent.find('{')));
  EXPECT_EQ(told, json({{"call", "call-1"},
                        {"leg", "callee"},
                        {"digit", "#"},
                        {"duration_ms", 90},
                        {"method", "info"}}));
}

TEST_F(ApiTest, TrunksAreListedWithoutSecrets) {
  sip::TrunkStatus status;
  status.name = "carrier";
  status.uri = "sip:carrier.example";
  status.state = sip::TrunkState::Failed;
  status.code = 401;
  status.detail = "401: it refused our user and password";
  status.failures = 2;
  status.retry = Clock::now() + std::chrono::seconds(30);
  trunks_ = {status};
  const json list = json::parse(ask(make("GET", "/api/v1/trunks")).body)["trunks"];
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0]["state"], "failed");
  EXPECT_EQ(list[0]["sip_code"], 401);
  EXPECT_EQ(list[0]["failures"], 2);
  EXPECT_TRUE(list[0]["expires_in"].is_null());
  EXPECT_NEAR(list[0]["retry_in"].get<double>(), 30, 5);
}

TEST_F(ApiTest, KeysArePressed) {
  ASSERT_TRUE(service_.start("alice", "bob"));
  const std::string path = "/api/v1/calls/call-1/dtmf";
  EXPECT_EQ(ask(make("POST", path, R"({"digits": "12#"})")).status, 204);
  EXPECT_EQ(service_.digits, "12#");
  EXPECT_EQ(service_.last_length, sip::kDtmfLength);
  EXPECT_EQ(ask(make("POST", path, R"({"digits": "4", "duration_ms": 300})")).status, 204);
  EXPECT_EQ(service_.last_length, std::chrono::milliseconds(300));
  expect_problem(ask(make("POST", path, "[]")), 400);
  for (const char *wrong :
       {"{}", R"({"digits": "x"})", R"({"digits": 1})", R"({"digits": "1", "duration_ms": -1})",
        R"({"digits": "1", "duration_ms": 18446744073709551615})", R"({"digits": "1", "x": 1})"})
    expect_problem(ask(make("POST", path, wrong)), 422);
  service_.failure = refused("Nobody hears them.");
  expect_problem(ask(make("POST", path, R"({"digits": "1"})")), 409);
  expect_problem(ask(make("POST", "/api/v1/calls/none/dtmf", R"({"digits": "1"})")), 404);
  EXPECT_EQ(service_.digits, "12#4");
}

TEST_F(ApiTest, WatchersAreBoundedAndThoseWhoHaveGoneMakeRoom) {
  std::vector<std::shared_ptr<KeptFeed>> feeds;
  for (std::size_t i = 0; i < EventFeeds::kMost; ++i) {
    const Response response = ask(make("GET", "/api/v1/events"));
    ASSERT_TRUE(response.stream);
    response.stream(feeds.emplace_back(std::make_shared<KeptFeed>()));
  }
  expect_problem(ask(make("GET", "/api/v1/events")), 503);
  feeds[3]->there = false;
  EXPECT_EQ(ask(make("GET", "/api/v1/events")).status, 200);
  EXPECT_EQ(feeds[3].use_count(), 1) << "let go of";
}

TEST_F(ApiTest, HeadOfTheEventsEnds) {
  const Response response = ask(make("HEAD", "/api/v1/events"));
  EXPECT_EQ(response.status, 200);
  EXPECT_FALSE(response.stream);
}

TEST_F(ApiTest, MetricsAreTextAndEachAnswerIsCounted) {
  const Response response = ask(make("GET", "/metrics"));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.content_type, "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_EQ(response.body, "measured 1\n");
  expect_problem(ask(make("GET", "/nothing")), 404);
  EXPECT_EQ(answered_, (std::vector<int>{200, 404}));
}
