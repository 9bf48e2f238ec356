#include "framework/rollout/teacher.hpp"

#include <cstring>
#include <utility>

#include "framework/rollout/arithmetic.hpp"

namespace l2o::framework {

Teacher::Teacher(const Scene& scene)
    : stepper_(scene),
      now_(stepper_.layout(), {.g = true, .f = true, .state = true}),
      next_(stepper_.layout(), {.g = true, .f = true, .state = true}) {}

void Teacher::start(const std::vector<Tensor>& x0) {
    for (std::size_t k = 0; k < x0.size(); ++k) copy_values(now_.x[k], x0[k]);
    now_.forget();
    stepper_.init_state(now_);
}

void Teacher::restore(const std::vector<const Tensor*>& carried) {
    std::size_t i = 0;
    for (Tensor& x : now_.x.tensors()) copy_values(x, *carried.at(i++));
    for (Tensor& h : now_.state.tensors())
        std::memcpy(h.data(), carried.at(i++)->data(), static_cast<std::size_t>(h.bytes()));
    now_.forget();
}

std::vector<const Tensor*> Teacher::carried() const {
    std::vector<const Tensor*> out;
    for (const Tensor& x : now_.x.tensors()) out.push_back(&x);
    for (const Tensor& h : now_.state.tensors()) out.push_back(&h);
    return out;
}

void Teacher::show(Point& point, std::int64_t t) {
    const bool wants_f = static_cast<bool>(point.f), wants_g = !point.g.empty();
    const PointParts own = stepper_.parts();
    stepper_.evaluate(now_, t, wants_f || own.f, wants_g || own.g, kFree);
    point.x.copy_from(now_.x);
    if (wants_f) std::memcpy(point.f.data(), now_.f.data(), static_cast<std::size_t>(point.f.bytes()));
    if (wants_g) point.g.copy_from(now_.g);
    point.forget();
    point.has_f = wants_f;
    point.has_g = wants_g;
    stepper_.advance(now_, next_, t);
    std::swap(now_, next_);
}

}  // namespace l2o::framework
