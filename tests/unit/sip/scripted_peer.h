// SPDX-License-Identifier: LGPL-2.1-or-later
// A SIP peer on a raw UDP or TCP socket that says exactly what a test tells it to.
#pragma once

#include <glib-unix.h>
#include <glib.h>
#include <gtest/gtest.h>
#include <strings.h>
#include <sys/socket.h>

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/endpoint.h"
#include "common/handle.h"
#include "common/main_context.h"

namespace junctor::sip::test {

/// Iterates the default context until `done`. The guard only ends a test that hangs.
inline bool run_until(const std::function<bool()> &done,
                      Duration guard = std::chrono::seconds(20)) {
  bool late = false;
  const ContextTimer timer(nullptr, guard, [&late] { late = true; });
  while (!done() && !late) g_main_context_iteration(nullptr, TRUE);
  return done();
}

/// Wakes run_until() when a descriptor that the test reads by itself has something.
class Wake {
 public:
  explicit Wake(int fd) : source_(g_unix_fd_source_new(fd, G_IO_IN)) {
    g_source_set_callback(source_, G_SOURCE_FUNC(+[](gint, GIOCondition, gpointer) -> gboolean {
                            return G_SOURCE_CONTINUE;
                          }),
                          nullptr, nullptr);
    g_source_attach(source_, nullptr);
  }
  ~Wake() {
    g_source_destroy(source_);
    g_source_unref(source_);
  }
  Wake(const Wake &) = delete;
  Wake &operator=(const Wake &) = delete;

 private:
  GSource *source_;
};

/// One SIP message in text form.
struct Message {
  std::string text;

  std::string start_line() const { return text.substr(0, text.find("\r\n")); }
  std::string method() const { return text.substr(0, text.find(' ')); }
  bool is_request() const { return !text.starts_with("SIP/2.0 "); }
  int status() const { return is_request() ? 0 : std::stoi(text.substr(8, 3)); }
  std::string body() const {
    const auto end = text.find("\r\n\r\n");
    return end == std::string::npos ? "" : text.substr(end + 4);
  }
  /// All values of a header.
  std::vector<std::string> headers(std::string_view name) const {
    std::vector<std::string> out;
    std::size_t at = text.find("\r\n") + 2;
    while (at < text.size()) {
      const auto end = text.find("\r\n", at);
      if (end == std::string::npos || end == at) break;
      const std::string line = text.substr(at, end - at);
      const auto colon = line.find(':');
      if (colon == name.size() &&
          ::strncasecmp(line.c_str(), std::string(name).c_str(), colon) == 0)
        out.push_back(line.substr(line.find_first_not_of(' ', colon + 1)));
      at = end + 2;
    }
    return out;
  }
  std::string header(std::string_view name) const {
    const auto all = headers(name);
    return all.empty() ? "" : all.front();
  }
  int cseq() const { return std::stoi(header("CSeq")); }
};

class ScriptedPeer {
 public:
  explicit ScriptedPeer(const std::string &address = "127.0.0.1") {
    auto socket = bind_udp({address, 0});
    EXPECT_TRUE(socket);
    fd_ = std::move(*socket);
    local_ = local_endpoint(fd_.get());
    source_ = g_unix_fd_source_new(fd_.get(), G_IO_IN);
    g_source_set_callback(source_, G_SOURCE_FUNC(&ScriptedPeer::on_readable), this, nullptr);
    g_source_attach(source_, nullptr);
  }
  ~ScriptedPeer() {
    g_source_destroy(source_);
    g_source_unref(source_);
  }
  ScriptedPeer(const ScriptedPeer &) = delete;
  ScriptedPeer &operator=(const ScriptedPeer &) = delete;

  std::string uri() const { return "sip:bob@" + local_.to_string(); }
  std::string contact() const { return "<" + uri() + ">"; }
  const Endpoint &local() const { return local_; }

  /// The next message that `wanted` takes; others that come before it are dropped.
  std::optional<Message> receive(const std::function<bool(const Message &)> &wanted) {
    std::optional<Message> found;
    run_until([&] {
      while (!found && !inbox_.empty()) {
        if (wanted(inbox_.front())) found = inbox_.front();
        inbox_.pop_front();
      }
      return found.has_value();
    });
    return found;
  }
  Message request(const std::string &method) {
    auto found = receive([&](const Message &m) { return m.is_request() && m.method() == method; });
    EXPECT_TRUE(found) << "no " << method << " came";
    return found.value_or(Message{});
  }
  Message response(int status) {
    auto found = receive([&](const Message &m) { return m.status() == status; });
    EXPECT_TRUE(found) << "no " << status << " came";
    return found.value_or(Message{"SIP/2.0 000 Nothing\r\n\r\n"});
  }
  Message final_response() {
    auto found = receive([&](const Message &m) { return m.status() >= 200; });
    EXPECT_TRUE(found) << "no final response came";
    return found.value_or(Message{"SIP/2.0 000 Nothing\r\n\r\n"});
  }
  /// Whether such a request has come and not been taken out.
  bool has_request(const std::string &method) {
    for (const Message &message : inbox_)
      if (message.is_request() && message.method() == method) return true;
    return false;
  }

  void send(const std::string &text, const Endpoint &to) {
    const auto address = to.to_sockaddr();
    ASSERT_TRUE(address);
    ::sendto(fd_.get(), text.data(), text.size(), 0, reinterpret_cast<const sockaddr *>(&*address),
             sockaddr_length(*address));
  }

  /// Answers `request`; `extra` are header lines with CRLF.
  void reply(const Message &request, const std::string &status, const std::string &extra = "",
             const std::string &sdp = "", const std::string &tag = "peer-tag") {
    send(reply_text(request, status, extra, sdp, tag), agent_);
  }
  std::string reply_text(const Message &request, const std::string &status,
                         const std::string &extra = "", const std::string &sdp = "",
                         const std::string &tag = "peer-tag") {
    std::string text = "SIP/2.0 " + status + "\r\n";
    for (const auto &via : request.headers("Via")) text += "Via: " + via + "\r\n";
    text += "From: " + request.header("From") + "\r\n";
    const std::string to = request.header("To");
    text += "To: " + to + (to.find(";tag=") == std::string::npos ? ";tag=" + tag : "") + "\r\n";
    text += "Call-ID: " + request.header("Call-ID") + "\r\nCSeq: " + request.header("CSeq") +
            "\r\n" + extra;
    if (extra.find("Contact:") == std::string::npos && status[0] <= '2')
      text += "Contact: " + contact() + "\r\n";
    if (!sdp.empty()) text += "Content-Type: application/sdp\r\n";
    return text + "Content-Length: " + std::to_string(sdp.size()) + "\r\n\r\n" + sdp;
  }

  /// A request within the dialog that `invite` (from the agent) opened and this peer answered.
  std::string in_dialog(const Message &invite, const std::string &method, int cseq,
                        const std::string &extra = "", const std::string &type = "",
                        const std::string &body = "", const std::string &tag = "peer-tag") {
    std::string contact = invite.header("Contact");
    const std::string target = contact.substr(1, contact.find('>') - 1);
    std::string text =
        method + ' ' + target + " SIP/2.0\r\nVia: SIP/2.0/UDP " + local_.to_string() +
        ";rport;branch=z9hG4bK" + method + std::to_string(cseq) + "-" + std::to_string(++branch_) +
        "\r\nMax-Forwards: 70\r\nFrom: " + invite.header("To") + ";tag=" + tag +
        "\r\nTo: " + invite.header("From") + "\r\nCall-ID: " + invite.header("Call-ID") +
        "\r\nCSeq: " + std::to_string(cseq) + ' ' + method + "\r\n" + extra;
    if (extra.find("Contact:") == std::string::npos) text += "Contact: " + this->contact() + "\r\n";
    if (!body.empty()) text += "Content-Type: " + type + "\r\n";
    return text + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }

  /// A request outside of any dialog.
  std::string request_text(const std::string &method, const std::string &target,
                           const std::string &extra = "", const std::string &body = "") {
    const std::string number = std::to_string(++branch_);
    std::string text = method + ' ' + target + " SIP/2.0\r\nVia: SIP/2.0/UDP " +
                       local_.to_string() + ";rport;branch=z9hG4bK-stray" + number +
                       "\r\nMax-Forwards: 70\r\nFrom: <sip:eve@example.com>;tag=eve" + number +
                       "\r\nTo: <" + target + ">\r\nCall-ID: stray" + number + "@" +
                       local_.to_string() + "\r\nCSeq: 1 " + method + "\r\n" + extra;
    return text + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }

  void set_agent(const Endpoint &agent) { agent_ = agent; }

 private:
  static gboolean on_readable(gint fd, GIOCondition /*condition*/, gpointer data) {
    auto *self = static_cast<ScriptedPeer *>(data);
    std::vector<char> buffer(65536);
    const auto size = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (size > 4)
      self->inbox_.push_back({std::string(buffer.data(), static_cast<std::size_t>(size))});
    return G_SOURCE_CONTINUE;
  }

  UniqueFd fd_;
  Endpoint local_, agent_;
  GSource *source_ = nullptr;
  std::deque<Message> inbox_;
  int branch_ = 0;
};

}  // namespace junctor::sip::test
