// SPDX-License-Identifier: LGPL-2.1-or-later
#include "api/event_feeds.h"

#include <nlohmann/json.hpp>

#include "store/call_json.h"

namespace junctor::api {

namespace {

const std::string kAlive = ": alive\n\n";

std::string event_of(const calls::View &call) {
  using nlohmann::json;
  // Without line breaks, so one data line holds it.
  return "event: call\ndata: " +
         store::to_json(call, false).dump(-1, ' ', false, json::error_handler_t::replace) + "\n\n";
}

}  // namespace

bool EventFeeds::full() {
  if (feeds_.size() >= kMost) send(kAlive);  // finds those who have gone
  return feeds_.size() >= kMost;
}

void EventFeeds::add(std::shared_ptr<Feed> feed, const std::vector<calls::View> &running) {
  // At once, so that the watcher knows that it watches.
  std::string first = kAlive;
  for (const auto &call : running) first += event_of(call);
  if (!feed->begin(first)) return;
  feeds_.push_back(std::move(feed));
  if (feeds_.size() == 1) beat();
}

void EventFeeds::tell(const calls::View &call) {
  if (!feeds_.empty()) send(event_of(call));
}

void EventFeeds::tell(std::string_view event, const nlohmann::json &data) {
  if (feeds_.empty()) return;
  send("event: " + std::string(event) +
       "\ndata: " + data.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n\n");
}

void EventFeeds::tell(const calls::DigitHeard &heard) {
  if (feeds_.empty()) return;
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(heard.dtmf.length);
  const nlohmann::json data = {{"call", heard.call},
                               {"leg", heard.leg},
                               {"digit", std::string(1, heard.dtmf.digit)},
                               {"duration_ms", ms.count()},
                               {"method", std::string(to_string(heard.dtmf.method))}};
  send("event: dtmf\ndata: " + data.dump() + "\n\n");
}

void EventFeeds::close() {
  for (const auto &feed : std::exchange(feeds_, {})) feed->end();
  timer_.reset();
}

void EventFeeds::send(const std::string &text) {
  std::erase_if(feeds_, [&](const auto &feed) { return !feed->send(text); });
}

void EventFeeds::beat() {
  timer_ = ContextTimer(context_, heartbeat_, [this] {
    send(kAlive);
    if (!feeds_.empty()) beat();
  });
}

}  // namespace junctor::api
