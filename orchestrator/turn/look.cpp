// SPDX-License-Identifier: LGPL-2.1-or-later
#include "turn/look.h"

#include <glib-unix.h>

#include <array>
#include <optional>

namespace junctor::turn {

namespace stun = rtp::stun;

Result<std::unique_ptr<Look>> Look::start(Options options, Told told) {
  const auto address = options.at.to_sockaddr();
  if (!address) return address.error();
  auto fd = bind_udp({address->ss_family == AF_INET6 ? "::" : "0.0.0.0", 0});
  if (!fd) return fd.error();
  return std::unique_ptr<Look>(
      new Look(std::move(options), std::move(told), *std::move(fd), *address));
}

Look::Look(Options options, Told told, UniqueFd fd, sockaddr_storage address)
    : options_(std::move(options)),
      told_(std::move(told)),
      fd_(std::move(fd)),
      address_(address),
      id_(stun::random_transaction_id()),
      started_(Clock::now()),
      source_(g_unix_fd_source_new(fd_.get(), G_IO_IN)) {
  const GUnixFDSourceFunc on_input = [](gint, GIOCondition, gpointer data) -> gboolean {
    auto *look = static_cast<Look *>(data);
    if (!look->answered()) return G_SOURCE_CONTINUE;
    look->timer_.reset();
    const Told told = look->told_;  // which may destroy the look
    told(true);
    return G_SOURCE_REMOVE;
  };
  g_source_set_callback(source_, G_SOURCE_FUNC(on_input), this, nullptr);
  g_source_attach(source_, options_.context);
  ask();
}

Look::~Look() {
  g_source_destroy(source_);
  g_source_unref(source_);
}

void Look::ask() {
  const Bytes request =
      stun::Writer(stun::Class::Request, stun::Method::Binding, id_).fingerprint().finish();
  // What cannot be sent is as good as lost.
  (void)!::sendto(fd_.get(), request.data(), request.size(), MSG_NOSIGNAL,
                  reinterpret_cast<const sockaddr *>(&address_), sockaddr_length(address_));
  const bool late = Clock::now() - started_ >= options_.patience;
  timer_ =
      ContextTimer(options_.context, late ? options_.longest_pause : options_.pause, [this, late] {
        const bool tell = late && !silent_;
        const Told told = told_;
        silent_ |= late;
        ask();
        if (tell) told(false);
      });
}

/// Whoever stands between can drop and delay; only who has seen the request knows its number.
bool Look::answered() const {
  std::array<std::byte, stun::kMaxMessage> datagram;
  for (;;) {
    const ssize_t size = ::recv(fd_.get(), datagram.data(), datagram.size(), 0);
    if (size < 0) return false;
    const auto message =
        stun::Message::parse(ByteSpan(datagram).first(static_cast<std::size_t>(size)));
    if (message && message->id() == id_ && message->kind() != stun::Class::Request) return true;
  }
}

bool answers(const Endpoint &at, Duration patience) {
  const std::unique_ptr<GMainContext, Releaser<g_main_context_unref>> context(g_main_context_new());
  Look::Options options;
  options.at = at;
  options.context = context.get();
  options.patience = patience;
  std::optional<bool> told;
  const auto look = Look::start(std::move(options), [&](bool answers) { told = answers; });
  if (!look) return false;
  while (!told) g_main_context_iteration(context.get(), TRUE);
  return *told;
}

}  // namespace junctor::turn
