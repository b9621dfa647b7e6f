// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sfu/core/bandwidth_estimator.h"

#include <algorithm>

namespace junctor::sfu {

namespace {

constexpr Duration kBurst = std::chrono::milliseconds(5);
constexpr std::size_t kPoints = 20;
/// Milliseconds that the delay grows from the first point to the last, until a queue grows.
constexpr double kThreshold = 6;
constexpr unsigned kSure = 2;                    // judgements in a row
constexpr Quarters kWindow = Quarters{4} * 500;  // of the arriving rate
constexpr std::size_t kArrived = 4096;           // packets of it
/// Farther behind the one before, an arrival is by a clock that has wrapped.
constexpr Quarters kBehind = Quarters{4} * 1000;
constexpr double kDown = 0.85, kUp = 0.08, kBeyond = 1.5;
constexpr double kMuchLoss = 0.10, kLittleLoss = 0.02;
constexpr Duration kLossPause = std::chrono::milliseconds(300);
constexpr Duration kRembLife = std::chrono::seconds(10);

double ms(Duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

}  // namespace

void BandwidthEstimator::on_feedback(std::span<const PacketResult> results, Time now) {
  if (results.empty()) return;
  known_ = with_feedback_ = true;
  std::size_t lost = 0, fresh = 0;
  for (const PacketResult &each : results) {
    // A feedback may tell once more of what one before has told.
    if (told_ && each.sent <= *told_) continue;
    ++fresh;
    if (each.arrival)
      on_arrival(each);
    else
      ++lost;
  }
  if (fresh == 0) return;
  if (lost == fresh) arrived_.clear();  // what came before tells nothing of now
  told_ = std::max_element(results.begin(), results.end(), [](const auto &a, const auto &b) {
            return a.sent < b.sent;
          })->sent;
  const double fraction = static_cast<double>(lost) / static_cast<double>(fresh);
  loss_ += (fraction - loss_) * 0.3;
  judge(now);
  adjust(now);
}

void BandwidthEstimator::on_arrival(const PacketResult &result) {
  if (!arrived_.empty() && *result.arrival < arrived_.back().at - kBehind) arrived_.clear();
  arrived_.push_back({*result.arrival, result.size});
  while (!arrived_.empty() &&
         (arrived_.back().at - arrived_.front().at > kWindow || arrived_.size() > kArrived))
    arrived_.pop_front();
  if (group_.any && result.sent - group_.first_sent > kBurst) close_group();
  if (!group_.any) group_.first_sent = result.sent;
  // The receiver's clock may be negative.
  group_.arrival = group_.any ? std::max(group_.arrival, *result.arrival) : *result.arrival;
  group_.any = true;
  group_.last_sent = result.sent;
}

void BandwidthEstimator::close_group() {
  if (before_.any) {
    const double sent = ms(group_.last_sent - before_.last_sent);
    const double came = static_cast<double>(group_.arrival - before_.arrival) / 4;
    // A clock that jumped, or a pause: begin anew.
    if (sent < 0 || sent > 2000 || came < -1000 || came > 4000) {
      points_.clear();
      delay_ = smoothed_ = 0;
    } else {
      delay_ += came - sent;
      smoothed_ += (delay_ - smoothed_) * 0.3;
      points_.push_back({ms(group_.last_sent.time_since_epoch()), smoothed_});
      if (points_.size() > kPoints) points_.pop_front();
    }
  }
  before_ = group_;
  group_ = Group();
}

/// By least squares: how far the line through the points rises from the first to the last.
double BandwidthEstimator::trend() const {
  if (points_.size() < kPoints / 2) return 0;
  const auto count = static_cast<double>(points_.size());
  double at = 0, delay = 0;
  for (const Point &each : points_) {
    at += each.at / count;
    delay += each.delay / count;
  }
  double covariance = 0, variance = 0;
  for (const Point &each : points_) {
    covariance += (each.at - at) * (each.delay - delay);
    variance += (each.at - at) * (each.at - at);
  }
  return variance > 0 ? covariance / variance * (points_.back().at - points_.front().at) : 0;
}

void BandwidthEstimator::judge(Time) {
  const double rise = trend();
  rising_ = rise > kThreshold ? rising_ + 1 : 0;
  if (rising_ >= kSure)
    state_ = State::Over;
  else if (rise < -kThreshold)
    state_ = State::Under;  // a queue drains: wait until it has
  else if (rising_ == 0)
    state_ = State::Normal;
}

std::optional<double> BandwidthEstimator::arriving() const {
  if (arrived_.size() < 2) return std::nullopt;
  const Quarters span = arrived_.back().at - arrived_.front().at;
  if (span < kWindow / 4) return std::nullopt;
  double bytes = 0;
  for (const Arrived &each : arrived_) bytes += each.size;
  return bytes * 8 * 4000 / static_cast<double>(span);
}

void BandwidthEstimator::adjust(Time now) {
  const double seconds =
      adjusted_ ? std::min(std::chrono::duration<double>(now - *adjusted_).count(), 1.0) : 0;
  adjusted_ = now;
  const auto comes = arriving();
  const double risen = rate_ * (1 + kUp * seconds);
  if (state_ == State::Over && comes) {
    rate_ = std::min(rate_, *comes * kDown);
    // What is in the queue already is not to be held against the new rate.
    points_.clear();
    rising_ = 0;
    state_ = State::Under;
  } else if (loss_ > kMuchLoss) {
    // A sender that sends on as before loses on as before: what comes all the same is carried.
    const double least = comes ? *comes * kDown : 0;
    if (rate_ < least) {
      rate_ = std::min(risen, least);
    } else if (!reduced_for_loss_ || now - *reduced_for_loss_ >= kLossPause) {
      rate_ = std::max(rate_ * (1 - loss_ / 2), least);
      reduced_for_loss_ = now;
    }
  } else if (state_ == State::Normal && loss_ < kLittleLoss) {
    rate_ = comes ? std::max(std::min(risen, *comes * kBeyond), std::min(rate_, risen)) : risen;
  }
  rate_ = std::clamp(rate_, kLeast, kMost);
}

void BandwidthEstimator::on_loss(double fraction, Time now) {
  if (with_feedback_) return;
  known_ = true;
  loss_ = fraction;
  adjust(now);
}

void BandwidthEstimator::on_remb(double bits_per_second, Time now) {
  known_ = true;
  remb_ = Cap{std::clamp(bits_per_second, kLeast, kMost), now};
}

std::optional<double> BandwidthEstimator::estimate(Time now) const {
  if (!known_) return std::nullopt;
  if (remb_ && now - remb_->at <= kRembLife)
    return with_feedback_ ? std::min(rate_, remb_->rate) : remb_->rate;
  return rate_;
}

}  // namespace junctor::sfu
