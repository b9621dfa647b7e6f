// SPDX-License-Identifier: LGPL-2.1-or-later
#include "turn/child.h"

#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <utility>

namespace junctor::turn {

namespace {

using ErrorRef = std::unique_ptr<GError, Releaser<g_error_free>>;

bool was_cancelled(GError *error) {
  return error != nullptr && g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

}  // namespace

Child::Child(Options options, Events events)
    : options_(std::move(options)),
      events_(std::move(events)),
      cancellable_(g_cancellable_new()),
      wait_(options_.first_wait) {}

Result<std::unique_ptr<Child>> Child::start(Options options, Events events) {
  std::unique_ptr<Child> child(new Child(std::move(options), std::move(events)));
  if (auto launched = child->launch(); !launched) return launched.error();
  return child;
}

Child::~Child() {
  g_cancellable_cancel(cancellable_.get());
  if (!process_) return;
  // It keeps nothing that would be lost; who used it has to look elsewhere in any case.
  g_subprocess_force_exit(process_.get());
  g_subprocess_wait(process_.get(), nullptr, nullptr);
}

Result<void> Child::launch() {
  const Ref<GSubprocessLauncher> launcher(g_subprocess_launcher_new(static_cast<GSubprocessFlags>(
      G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE)));
  g_subprocess_launcher_set_child_setup(
      launcher.get(),
      [](gpointer) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        // Ctrl-C is for us: it ends when we end it, and not before.
        ::setpgid(0, 0);
        ::umask(0077);
      },
      nullptr, nullptr);
  std::vector<const gchar *> arguments;
  for (const std::string &each : options_.arguments) arguments.push_back(each.c_str());
  arguments.push_back(nullptr);
  GError *raw = nullptr;
  g_main_context_push_thread_default(options_.context);
  process_.reset(g_subprocess_launcher_spawnv(launcher.get(), arguments.data(), &raw));
  const ErrorRef error(raw);
  if (process_) {
    launched_ = Clock::now();
    output_.reset(g_data_input_stream_new(g_subprocess_get_stdout_pipe(process_.get())));
    read_on();
    g_subprocess_wait_async(
        process_.get(), cancellable_.get(),
        [](GObject *process, GAsyncResult *result, gpointer self) {
          GError *failure = nullptr;
          g_subprocess_wait_finish(G_SUBPROCESS(process), result, &failure);
          const ErrorRef owned(failure);
          if (!was_cancelled(failure)) static_cast<Child *>(self)->on_end();
        },
        this);
  }
  g_main_context_pop_thread_default(options_.context);
  if (!process_)
    return Error{Fault::Unreachable,
                 "cannot start " + options_.arguments.front() + ": " + error->message};
  return {};
}

void Child::read_on() {
  g_data_input_stream_read_line_async(
      output_.get(), G_PRIORITY_DEFAULT, cancellable_.get(),
      [](GObject *stream, GAsyncResult *result, gpointer self) {
        // Not to be looked at before it is known that the child is there still.
        gsize size = 0;
        GError *failure = nullptr;
        char *line = g_data_input_stream_read_line_finish(G_DATA_INPUT_STREAM(stream), result,
                                                          &size, &failure);
        const ErrorRef owned(failure);
        const std::unique_ptr<char, Releaser<g_free>> text(line);
        if (was_cancelled(failure)) return;
        auto *child = static_cast<Child *>(self);
        const bool current = child->output_.get() == G_DATA_INPUT_STREAM(stream);
        if (failure != nullptr || line == nullptr) {
          if (!current) return;
          child->output_.reset();
          if (!child->end_.empty()) child->tell_end();
          return;
        }
        if (child->events_.line)
          child->events_.line(std::string(line, std::min<std::size_t>(size, kLongestLine)));
        if (current) child->read_on();
      },
      this);
}

void Child::on_end() {
  std::string why = options_.arguments.front();
  if (g_subprocess_get_if_exited(process_.get()))
    why += " has ended with status " + std::to_string(g_subprocess_get_exit_status(process_.get()));
  else
    why += " was ended by signal " + std::to_string(g_subprocess_get_term_sig(process_.get()));
  process_.reset();
  if (Clock::now() - launched_ >= options_.proven) wait_ = options_.first_wait;
  end_ = std::move(why);
  if (!output_) return tell_end();
  timer_ = ContextTimer(options_.context, kLastLines, [this] { tell_end(); });
}

void Child::tell_end() {
  output_.reset();
  start_later(std::exchange(end_, {}));
}

void Child::start_later(const std::string &why) {
  const Duration wait = wait_;
  wait_ = std::min(wait_ * 2, options_.longest_wait);
  timer_ = ContextTimer(options_.context, wait, [this] {
    ++restarts_;
    if (auto launched = launch(); !launched)
      start_later(launched.error().detail);
    else if (events_.started)
      events_.started();
  });
  if (events_.ended) events_.ended(why, wait);
}

int Child::pid() const {
  const char *text = process_ ? g_subprocess_get_identifier(process_.get()) : nullptr;
  return text ? std::atoi(text) : 0;
}

void Child::signal(int number) {
  if (process_) g_subprocess_send_signal(process_.get(), number);
}

}  // namespace junctor::turn
