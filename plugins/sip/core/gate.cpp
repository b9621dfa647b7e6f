// SPDX-License-Identifier: LGPL-2.1-or-later
// Which requests get as far as a transaction.
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_protos.h>
#include <sys/socket.h>

#include <charconv>

#include "sip/core/stack.h"
#include "sip/core/transaction.h"
#include "sip/core/uri.h"

namespace junctor::sip {

namespace {

constexpr std::uint16_t kSipPort = 5060;
/// So old may be what is known of who is registered; until then a new one has a stranger's share.
constexpr Duration kRegisteredAge = std::chrono::seconds(5);
constexpr Duration kCallPause = std::chrono::seconds(1);  // what LogBudget counts by

std::string name_of(const sip_t &sip) { return clean_text(sip.sip_request->rq_method_name, 32); }

template <class Header>
std::string text_of(const Header *header) {
  Home home;
  const char *text =
      sip_header_as_string(home.get(), reinterpret_cast<const sip_header_t *>(header));
  return text ? text : "";
}

/// As RFC 3261 section 18.2.1 and RFC 3581 section 4 have it: with where the request came from.
std::string via_of_peer(const sip_via_t &via, const Endpoint &source) {
  std::string out = std::string(via.v_protocol) + ' ' + via.v_host;
  if (via.v_port) out += std::string(":") + via.v_port;
  for (auto each = via.v_params; each && *each; ++each) {
    const std::string_view parameter = *each;
    if (parameter.starts_with("received=") || parameter == "rport" ||
        parameter.starts_with("rport="))
      continue;
    out.append(";").append(parameter);
  }
  out += ";received=" + source.address;
  return via.v_rport ? out + ";rport=" + std::to_string(source.port) : out;
}

/// RFC 3261 section 8.2.6.
std::string busy_answer(const sip_t &sip, const Endpoint &source, Duration wait) {
  std::string out = "SIP/2.0 503 Service Unavailable\r\nVia: " + via_of_peer(*sip.sip_via, source);
  for (const sip_via_t *via = sip.sip_via->v_next; via; via = via->v_next)
    out += "\r\nVia: " + text_of(via);
  out += "\r\nFrom: " + text_of(sip.sip_from) + "\r\nTo: " + text_of(sip.sip_to);
  if (!sip.sip_to->a_tag) out += ";tag=busy";
  out += "\r\nCall-ID: " + text_of(sip.sip_call_id) + "\r\nCSeq: " + text_of(sip.sip_cseq);
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
  return out + "\r\nRetry-After: " + std::to_string(seconds) + "\r\nContent-Length: 0\r\n\r\n";
}

/// Where an answer over UDP goes (RFC 3261 section 18.2.2, RFC 3581 section 4).
Endpoint return_address(const sip_via_t &via, const Endpoint &source) {
  Endpoint to{source.address, kSipPort};
  if (via.v_rport) return source;
  if (const std::string_view port = via.v_port ? via.v_port : ""; !port.empty())
    std::from_chars(port.data(), port.data() + port.size(), to.port);
  return to;
}

}  // namespace

/// By both tags: whoever knows a Call-ID alone is a stranger (RFC 3261 section 12).
CallImpl *AgentImpl::call_of(const sip_t &sip) const {
  const auto is_tag = [](const char *tag) { return tag && *tag && std::string_view(tag) != "0"; };
  if (!is_tag(sip.sip_from->a_tag)) return nullptr;
  if (sip.sip_request->rq_method == sip_method_cancel) {
    // Sent as the INVITE was: without our tag (section 9.1).
    for (const auto *calls : {&calls_, &lingering_})
      if (const auto found = calls->find(sip.sip_call_id->i_id);
          found != calls->end() && found->second->caller_tag() == sip.sip_from->a_tag)
        return found->second.get();
    return nullptr;
  }
  if (!is_tag(sip.sip_to->a_tag)) return nullptr;
  sip_replaces_t dialog[1];
  sip_replaces_init(dialog);
  dialog->rp_call_id = sip.sip_call_id->i_id;
  dialog->rp_to_tag = sip.sip_to->a_tag;
  dialog->rp_from_tag = sip.sip_from->a_tag;
  nua_handle_t *handle = nua_handle_by_replaces(nua_, dialog);
  if (!handle) return nullptr;
  auto *call = reinterpret_cast<CallImpl *>(nua_handle_magic(handle));
  nua_handle_unref(handle);
  return call;
}

bool AgentImpl::came_in_vain(const Endpoint &source) const {
  // The sockets of Linux take it, but nothing can be sent to it: neither calls nor media.
  const bool v6_alone =
      options_.listen.address.find(':') != std::string::npos &&
      (!options_.tls || options_.tls->listen.address.find(':') != std::string::npos);
  const bool v4 =
      source.address.find(':') == std::string::npos || source.address.starts_with("::ffff:");
  return v6_alone && v4;
}

bool AgentImpl::admit(const FencedRequest &request) {
  if (came_in_vain(request.source)) {
    log_about(request.source,
              "dropped: it came by IPv4, and SIP that listens on IPv6 (--sip) serves that alone; "
              "listen on 0.0.0.0 for IPv4");
    return false;
  }
  const sip_t &sip = request.sip;
  const sip_method_t method = sip.sip_request->rq_method;
  // It opens no transaction, and is never answered.
  if (method == sip_method_ack) return true;
  if (!request.problem.empty()) {
    log_about(request.source,
              "refused at parsing: " + request.problem + " (" + name_of(sip) + ", 400)");
    if (request.stream)
      for (Connections *connections : all_connections()) connections->distrust(request.source);
    return true;
  }
  const Time now = Clock::now();
  if (CallImpl *call = call_of(sip)) {
    // Its end is never put off.
    if (call->is_ended_by(sip) || call->take_request(now)) return true;
    log_about(request.source,
              "refused at " + name_of(sip) + ": 503, too many requests of one call at once");
    if (busy_answers_.take(now)) answer_busy(request, kCallPause);
    return false;
  }
  const std::string transaction = transaction_of(sip, sip.sip_request->rq_method_name);
  // Its transaction, which is there already, answers it as it did before.
  if (!transaction.empty() && admission_.holds(transaction, now)) return true;
  // All else that is sent to us is answered at once: there is nothing to be cancelled.
  if (method == sip_method_cancel || sip.sip_to->a_tag)
    log_about(request.source, "refused at " + name_of(sip) + ": 481, there is no such call");
  // Over a connection nothing is kept after the answer (RFC 3261 section 17.2.2: timer J is zero),
  // but for the ACK of an INVITE.
  if (request.stream && method != sip_method_invite) return true;
  const std::string group = address_group(request.source.address);
  const Duration wait =
      admission_.take(group, transaction, now, [&] { return is_registered(group, now); });
  if (wait == Duration{}) return true;
  log_about(request.source, "refused at " + name_of(sip) + ": 503, too many requests at once");
  if (busy_answers_.take(now)) answer_busy(request, wait);
  return false;
}

bool AgentImpl::is_registered(const std::string &group, Time now) {
  // They are many, and asked for when requests are.
  if (now >= registered_until_) {
    registered_until_ = now + kRegisteredAge;
    registered_.clear();
    if (registrar_) registered_ = registrar_->groups(now);
  }
  return registered_.contains(group);
}

void AgentImpl::answer_busy(const FencedRequest &request, Duration wait) {
  const std::string answer = busy_answer(request.sip, request.source, wait);
  if (request.stream) {
    // Only what fits at once: whoever does not read its answers needs no other one.
    if (const int fd = connections_ ? connections_->find(request.source) : -1; fd >= 0)
      ::send(fd, answer.data(), answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    else if (const int tls = tls_connections_ ? tls_connections_->find(request.source) : -1;
             tls >= 0)
      sofia_tls_->write(tls, answer);
    return;
  }
  const auto to = return_address(*request.sip.sip_via, request.source).to_sockaddr();
  if (!to) return;
  for (const int fd : udp_)
    if (::sendto(fd, answer.data(), answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr *>(&*to), sockaddr_length(*to)) >= 0)
      return;
}

std::vector<Connections *> AgentImpl::all_connections() const {
  std::vector<Connections *> all;
  for (Connections *each : {connections_.get(), tls_connections_.get()})
    if (each) all.push_back(each);
  return all;
}

void AgentImpl::cut_off(const Endpoint &source, const std::string &why) {
  for (Connections *connections : all_connections()) connections->close(source, why);
}

void AgentImpl::log_about(const Endpoint &source, const std::string &text) {
  const auto left_out = refusals_.take(address_group(source.address), Clock::now());
  if (!left_out) return;
  log(LogLevel::Warning,
      "sip " + source.to_string() + ": " + text +
          (*left_out ? " (and " + std::to_string(*left_out) + " more that were not logged)" : ""));
}

}  // namespace junctor::sip
