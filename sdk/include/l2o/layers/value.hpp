// Batched values of a step, and how their cotangents find back. Third parties write equations with
// l2o/layers/layered.hpp; this is what the operations of l2o/layers/*.hpp are made of.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <l2o/sdk/failure.hpp>
#include <l2o/sdk/scratch.hpp>
#include <l2o/sdk/view.hpp>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace l2o::layers {

template <class T>
class Node;
template <class T>
class Value;

template <class T>
View<const T> read_only(const View<T>& v) {
    return {v.data, v.rows, v.cols, v.stride};
}

/// Columns first .. first + cols - 1.
template <class T>
View<T> part(const View<T>& v, std::int64_t first, std::int64_t cols) {
    return {v.data + first, v.rows, cols, v.stride};
}

/// A vector [n], or a number, as one row; a matrix as it is.
template <class T>
View<T> as_row(const View<T>& v) {
    return v.cols == 1 ? View<T>{v.data, 1, v.rows, v.rows} : v;
}

/// Measured: only what the operations take of the scratch. Forward, reverse: step and step_vjp.
enum class Pass { kMeasure, kForward, kReverse };

/// The operations of one step, in the order in which forward() names them, on the stack and, of many, in the
/// scratch of the call, where their values and cotangents lie. Nothing is computed before somebody needs it.
template <class T>
class Tape {
  public:
    Tape(Scratch& scratch, std::int64_t batch, Pass pass) : scratch_(scratch), batch_(batch), pass_(pass) {}
    Tape(const Tape&) = delete;
    Tape& operator=(const Tape&) = delete;

    [[nodiscard]] std::int64_t batch() const { return batch_; }
    [[nodiscard]] Pass pass() const { return pass_; }
    [[nodiscard]] Scratch& scratch() const { return scratch_; }

    /// Adds an operation: N(tape, arguments...).
    template <class N, class... Arguments>
    N* add(Arguments&&... arguments) {
        N* node = make<N>(*this, std::forward<Arguments>(arguments)...);
        node->before_ = last_;
        last_ = node;
        return node;
    }
    /// An object that lives as long as the tape, and is left behind, never destroyed.
    template <class N, class... Arguments>
    N* make(Arguments&&... arguments) {
        static_assert(std::is_trivially_destructible_v<N> && sizeof(N) + alignof(N) <= kRoom);
        std::size_t at = (used_ + alignof(N) - 1) / alignof(N) * alignof(N);
        if (at + sizeof(N) > kRoom) {
            room_ = more_room();
            at = 0;
        }
        used_ = at + sizeof(N);
        return new (room_ + at) N(std::forward<Arguments>(arguments)...);
    }
    /// Back through all of them, the last one first; cotangents of the outputs were given before.
    void reverse() {
        for (Node<T>* node = last_; node != nullptr; node = node->before_)
            if (node->wanted_ && node->bar_ && !node->is_input_) node->back(read_only(node->bar_));
    }

  private:
    static constexpr std::size_t kRoom = 4096;

    std::byte* more_room() {
        std::byte* room = scratch_.template take<std::byte>(kRoom);
        if (pass_ == Pass::kMeasure) room = measured_.emplace_back(new std::byte[kRoom]).get();
        return room;
    }

    Scratch& scratch_;
    std::int64_t batch_;
    Pass pass_;
    Node<T>* last_ = nullptr;
    std::vector<std::unique_ptr<std::byte[]>> measured_;  // empty but while measuring
    std::size_t used_ = 0;
    alignas(std::max_align_t) std::byte first_room_[kRoom];
    std::byte* room_ = first_room_;
};

/// The result of an operation: [B, n], or, not batched, [1, n], the same for every row. An operation derives
/// from it, and says how it is computed and how its cotangent goes on to what it was computed of.
template <class T>
class Node {
  public:
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    [[nodiscard]] Tape<T>& tape() const { return tape_; }
    [[nodiscard]] bool is_batched() const { return is_batched_; }
    [[nodiscard]] std::int64_t rows() const { return is_batched_ ? tape_.batch() : 1; }
    [[nodiscard]] std::int64_t cols() const { return cols_; }
    /// Whether a cotangent has somewhere to go.
    [[nodiscard]] bool is_wanted() const { return wanted_; }
    /// Whether into() scales and adds without room in between.
    [[nodiscard]] bool is_linear() const { return is_linear_; }
    [[nodiscard]] bool is_known() const { return bool(value_); }

    View<const T> value() {
        if (!value_) {
            compute(room_, 1, false);
            value_ = read_only(room_);
        }
        return value_;
    }
    /// to = alpha value, or to += alpha value. What only `to` needs is computed there and not kept.
    void into(const View<T>& to, T alpha, bool adds) {
        if (!value_ && uses_ <= 1 && (is_linear_ || (alpha == 1 && !adds))) return compute(to, alpha, adds);
        write(value(), to, alpha, adds);
    }
    /// From now on, without computing it.
    void know(const View<const T>& value) { value_ = value; }
    /// Where to compute it, instead of in the scratch.
    void place(const View<T>& room) { room_ = room; }
    /// From now on no cotangent has anywhere to go.
    void stop() { wanted_ = false; }
    void use() { ++uses_; }
    [[nodiscard]] int uses() const { return uses_; }

    /// Adds alpha bar to its cotangent. `bar` stays as it is until the call returns.
    void give(const View<const T>& bar, T alpha = 1) {
        if (!wanted_) return;
        if (!bar_ && alpha == 1) {
            bar_ = {const_cast<T*>(bar.data), bar.rows, bar.cols, bar.stride};  // read only until owned
        } else if (!bar_) {
            write(bar, bar_room_, alpha, false);
            bar_ = bar_room_, owns_bar_ = true;
        } else {
            write(bar, own_bar(), alpha, true);
        }
    }
    /// Its cotangent, to be added to.
    View<T> own_bar() {
        if (owns_bar_) return bar_;
        if (bar_)
            copy(read_only(bar_), bar_room_);
        else
            fill(bar_room_, 0);
        bar_ = bar_room_, owns_bar_ = true;
        return bar_;
    }

  protected:
    /// @param is_linear  whether compute() can scale and add; else it is called with alpha = 1, adds = false
    Node(Tape<T>& tape, bool is_batched, std::int64_t cols, bool wanted, bool is_linear)
        : tape_(tape), cols_(cols), is_batched_(is_batched), wanted_(wanted), is_linear_(is_linear) {
        room_ = bar_room_ = fresh(cols);
        if (wanted && tape.pass() != Pass::kForward) bar_room_ = fresh(cols);
    }
    /// The same of values that it uses once each, some of which may be 0: wanted where one of them is.
    Node(Tape<T>& tape, bool is_batched, std::int64_t cols, std::span<const Value<T>> of, bool is_linear)
        : Node(tape, is_batched, cols, any_wanted(of), is_linear) {
        for (const Value<T>& v : of)
            if (v) v->use();
    }
    /// An input. @param bar  its accumulator, empty if it is not wanted.
    Node(Tape<T>& tape, bool is_batched, const View<const T>& value, const View<T>& bar)
        : tape_(tape),
          value_(value),
          bar_(bar),
          cols_(value.cols),
          is_batched_(is_batched),
          is_input_(true),
          wanted_(bool(bar) || tape.pass() == Pass::kMeasure),
          owns_bar_(true) {}
    ~Node() = default;

    virtual void compute(const View<T>& to, T alpha, bool adds) = 0;
    /// Gives what it has to the operands that are wanted.   @param bar  read only
    virtual void back(const View<const T>& bar) = 0;

    static bool any_wanted(std::span<const Value<T>> of) {
        return std::ranges::any_of(of, [](const Value<T>& v) { return v && v->is_wanted(); });
    }
    [[nodiscard]] View<T> fresh(std::int64_t cols) { return tape_.scratch().template rows<T>(rows(), cols); }
    /// Where back() may put what goes on to an operand; may be where `bar` is.
    [[nodiscard]] const View<T>& bar_room() const { return bar_room_; }

    static void write(const View<const T>& from, const View<T>& to, T alpha, bool adds) {
        if (adds && alpha == 1)
            each([](T a, T& b) { b += a; }, from, to);
        else if (adds)
            each([alpha](T a, T& b) { b += alpha * a; }, from, to);
        else if (alpha == 1)
            copy(from, to);
        else
            each([alpha](T a, T& b) { b = alpha * a; }, from, to);
    }

  private:
    friend class Tape<T>;

    Tape<T>& tape_;
    Node* before_ = nullptr;
    View<const T> value_{};
    View<T> room_{}, bar_{}, bar_room_{};
    std::int64_t cols_;
    std::int32_t uses_ = 0;
    bool is_batched_, is_input_ = false, wanted_, is_linear_ = false, owns_bar_ = false;
};

/// What forward() computes with; a default-constructed one is 0 and costs nothing.
template <class T>
class Value {
  public:
    Value() = default;
    explicit Value(Node<T>* node) : node_(node) {}
    explicit operator bool() const { return node_ != nullptr; }
    Node<T>* operator->() const { return node_; }
    [[nodiscard]] Node<T>* node() const { return node_; }

  private:
    Node<T>* node_ = nullptr;
};

}  // namespace l2o::layers
