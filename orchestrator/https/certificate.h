// SPDX-License-Identifier: LGPL-2.1-or-later
// The certificate of HTTPS, as GIO wants it.
#pragma once

#include <gio/gio.h>

#include <memory>

#include "common/handle.h"
#include "common/log.h"
#include "common/main_context.h"
#include "common/result.h"
#include "common/tls.h"

namespace junctor::https {

/// A certificate with its key, from files that may be renewed at any time: they are looked at each
/// second. Signalling thread.
class Certificate {
 public:
  using Ref = std::unique_ptr<GTlsCertificate, Releaser<g_object_unref>>;

  /// `log` is told of renewals, and of renewed files that cannot be used; the old ones hold
  /// meanwhile. BadInput says what is wrong with which file, or that this machine's GLib knows no
  /// TLS.
  static Result<std::unique_ptr<Certificate>> load(TlsFiles files, LogSink log);

  GTlsCertificate *get() const { return certificate_.get(); }

 private:
  Certificate(TlsFiles files, LogSink log) : files_(std::move(files)), log_(std::move(log)) {}
  static Result<Ref> read(const TlsFiles &files);
  void look_later();
  void look();

  const TlsFiles files_;
  const LogSink log_;
  TlsStamp stamp_;
  Ref certificate_;
  ContextTimer timer_;
};

}  // namespace junctor::https
