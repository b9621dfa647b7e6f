// SPDX-License-Identifier: LGPL-2.1-or-later
// A call's media as one GStreamer pipeline.
#pragma once

#include <glib.h>

#include "calls/media_path.h"

namespace junctor::calls {

/// Makes a GstPipeline of the line, gives its elements the shared reactor, server and agent, and
/// sets it playing. It adds no thread of its own: messages of its bus are posted to `context`, the
/// signalling thread's, from the thread that has them. Fails with the line's or the element's own
/// words.
Result<std::unique_ptr<MediaPath>> make_pipeline(GMainContext *context, const PathSpec &spec,
                                                 PathEvents events);

/// Parses the line, so that its elements' libraries are loaded before a call needs them. Fails with
/// what is missing.
Result<void> try_line(const Fragment &line);

/// Sets a string, number or boolean property from text. Fails for one that the element has not, or
/// that the text does not fit.
Result<void> set_property(void *element, const std::string &property, const std::string &value);

}  // namespace junctor::calls
