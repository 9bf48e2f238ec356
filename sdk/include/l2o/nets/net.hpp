// Nets of a few parts that run at every entry of their inputs, as operations of l2o/layers. A part declares
// its parameters and its state itself; see dense.hpp and lstm.hpp for what it has to have.
//
// The state of an entry lies together in the host's tensors (a slice of coordinates is a range of memory);
// the kernels want entries side by side. So entries are worked on in tiles: gathered and transposed, kept in
// cache for all that happens to them, scattered again. Going back runs a tile once more.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <l2o/layers/layered.hpp>
#include <l2o/nets/tiles.hpp>
#include <l2o/numerics/dual.hpp>
#include <l2o/numerics/packet.hpp>
#include <string>
#include <tuple>
#include <utility>

namespace l2o::nets {

using layers::Value;

/// One part after the other, each reading the output of the one before.
template <class... Parts>
class Net {
  public:
    static constexpr std::size_t kParts = sizeof...(Parts);

    std::tuple<Parts...> parts;

    template <std::size_t i>
    auto& part() {
        return std::get<i>(parts);
    }
    template <std::size_t i>
    const auto& part() const {
        return std::get<i>(parts);
    }
    template <class T>
    void init_params(const l2o_call& call, const ParamsOut<T>& params) const {
        std::apply([&](const auto&... part) { (part.init_params(call, params), ...); }, parts);
    }
    [[nodiscard]] Index inputs() const { return part<0>().inputs(); }
    [[nodiscard]] Index outputs() const { return part<kParts - 1>().outputs(); }

    /// The net in one step: its node goes back last, when all sums are complete.
    template <class T>
    class Pass final : public layers::Node<T> {
      public:
        Pass(layers::Tape<T>& tape, const Net& net, layers::Step<T>& step)
            : layers::Node<T>(tape, false, 1, true, false),
              step_(step),
              parts_(std::apply(
                  [&](const auto&... part) {
                      return std::tuple<typename Parts::template Pass<T>...>(
                          typename Parts::template Pass<T>(tape.scratch(), part, step)...);
                  },
                  net.parts)) {
            std::size_t i = 0;
            std::apply(
                [&](const auto&... part) {
                    ((bars_[i++] = {tape.scratch().template take<T>(part.outputs() * kTile), kTile}), ...);
                },
                net.parts);
            if (tape.pass() == layers::Pass::kReverse) this->own_bar();
        }
        template <std::size_t i>
        auto& part() {
            return std::get<i>(parts_);
        }
        [[nodiscard]] Block<T> output() const { return std::get<kParts - 1>(parts_).output(); }
        /// Where the cotangent of the output goes before reverse(), zeros up to whole lanes.
        [[nodiscard]] const Block<T>& output_bar() const { return bars_[kParts - 1]; }

        void forward(std::size_t k, const Tile& tile, Block<const T> in, bool taped) const {
            const auto run = [&](const auto& part) {
                part.forward(k, tile, in, taped);
                in = part.output();
            };
            std::apply([&](const auto&... part) { (run(part), ...); }, parts_);
        }
        void reverse(std::size_t k,
                     const Tile& tile,
                     const Block<const T>& in,
                     const Block<T>& in_bar) const {
            reverse_from<kParts - 1>(k, tile, in, in_bar);
        }
        /// Names the states' that a run at block k writes.   @return whether one of them has a cotangent
        [[nodiscard]] bool name_states(std::size_t k) const {
            bool has_cotangent = false;
            const auto name = [&](const auto& part) {
                if constexpr (requires { part.states(k); })
                    for (const State& s : part.states(k)) {
                        static_cast<void>(step_.room_of(s));
                        has_cotangent = has_cotangent || step_.cotangent_of(s);
                    }
            };
            std::apply([&](const auto&... part) { (name(part), ...); }, parts_);
            return has_cotangent;
        }

      private:
        template <std::size_t i>
        void reverse_from(std::size_t k,
                          const Tile& tile,
                          const Block<const T>& in,
                          const Block<T>& in_bar) const {
            const auto& part = std::get<i>(parts_);
            if constexpr (i == 0) {
                part.reverse(k, tile, in, bars_[0], in_bar);
            } else {
                part.reverse(k, tile, std::get<i - 1>(parts_).output(), bars_[i], bars_[i - 1]);
                reverse_from<i - 1>(k, tile, in, in_bar);
            }
        }
        void compute(const View<T>&, T, bool) override {}
        void back(const View<const T>&) override {
            std::apply([&](const auto&... part) { (part.finish(), ...); }, parts_);
        }

        layers::Step<T>& step_;
        std::tuple<typename Parts::template Pass<T>...> parts_;
        std::array<Block<T>, kParts> bars_;
    };
};

namespace detail {

/// What goes in and out of a net at the entries of a block.
template <class T, std::size_t K>
class Inputs {
  public:
    explicit Inputs(const std::array<Value<T>, K>& of) : of_(of) {
        for (const Value<T>& v : of_) v->use();
    }
    static std::int64_t cols(const std::array<Value<T>, K>& of) {
        std::int64_t n = 1;
        for (const Value<T>& v : of) n = std::max(n, v->cols());
        for (const Value<T>& v : of)
            if (v->cols() != n && (v->cols() != 1 || v->is_batched()))
                invalid("a net reads rows of " + std::to_string(v->cols()) + " and of " + std::to_string(n) +
                        " entries; expected as many, or one number for all");
        return n;
    }
    /// Zeros follow up to whole lanes.
    void gather(const Tile& tile, const Block<T>& to) const {
        const Index lanes = numerics::round_up_to_lanes<T>(tile.count);
        for (std::size_t i = 0; i < K; ++i) {
            T* row = to.at(Index(i), 0);
            if (is_one(i))
                std::fill_n(row, tile.count, of_[i]->value().scalar());
            else
                nets::gather(of_[i]->value(), tile, row);
            std::fill(row + tile.count, row + lanes, T(0));
        }
    }
    [[nodiscard]] bool is_wanted() const {
        return std::ranges::any_of(of_, [](const Value<T>& v) { return v->is_wanted(); });
    }
    void add_back(const Tile& tile, const Block<T>& bar) const {
        for (std::size_t i = 0; i < K; ++i) {
            if (!of_[i]->is_wanted()) continue;
            const T* row = bar.at(Index(i), 0);
            if (is_one(i))
                for (Index j = 0; j < tile.count; ++j) of_[i]->own_bar().scalar() += row[j];
            else
                scatter<true>(row, tile, of_[i]->own_bar());
        }
    }

  private:
    [[nodiscard]] bool is_one(std::size_t i) const { return !of_[i]->is_batched() && of_[i]->cols() == 1; }

    std::array<Value<T>, K> of_;
};

/// All outputs of a net, those of an entry side by side.
template <class T, class Pass, std::size_t K>
class Outputs final : public layers::Node<T> {
  public:
    Outputs(layers::Tape<T>& tape,
            const Pass* net,
            std::size_t block,
            Index width,
            const std::array<Value<T>, K>& in)
        : layers::Node<T>(tape, true, width * Inputs<T, K>::cols(in), true, false),
          net_(net),
          block_(block),
          width_(width),
          in_(in),
          features_{tape.scratch().template take<T>(Index(K) * kTile), kTile},
          features_bar_{tape.scratch().template take<T>(Index(K) * kTile), kTile} {
        if (net->name_states(block)) this->own_bar();
    }

  private:
    void compute(const View<T>& to, T, bool) override {
        for_each_tile(to.rows * to.cols / width_, [&](const Tile& tile) {
            in_.gather(tile, features_);
            net_->forward(block_, tile, features_, false);
            store<false>(net_->output(), width_, tile, to);
        });
    }
    void back(const View<const T>& bar) override {
        for_each_tile(bar.rows * bar.cols / width_, [&](const Tile& tile) {
            in_.gather(tile, features_);
            net_->forward(block_, tile, features_, true);
            std::fill_n(net_->output_bar().data, width_ * kTile, T(0));
            load(bar, width_, tile, net_->output_bar());
            net_->reverse(block_, tile, features_, in_.is_wanted() ? features_bar_ : Block<T>{});
            in_.add_back(tile, features_bar_);
        });
    }

    const Pass* net_;
    std::size_t block_;
    Index width_;
    Inputs<T, K> in_;
    Block<T> features_, features_bar_;
};

template <class R>
inline constexpr std::size_t kCountOf = 1;
template <class N, std::size_t R>
inline constexpr std::size_t kCountOf<std::array<N, R>> = R;
/// What a rule of so many numbers gives; never called.
template <class Number, std::size_t kNumbers, class Rule>
auto result_of(const Rule& rule) {
    return [&]<std::size_t... i>(std::index_sequence<i...>) {
        return rule(Number((static_cast<void>(i), 0))...);
    }
    (std::make_index_sequence<kNumbers>{});
}

/// A rule of the outputs of a net, variables and constants, at every entry.
/// @tparam kOutputs  of the net   @tparam kResults  of the rule, [B, n] each, side by side
template <class T,
          class Pass,
          class Rule,
          std::size_t kOutputs,
          std::size_t kResults,
          std::size_t K,
          std::size_t V,
          std::size_t C>
class Ruled final : public layers::Node<T> {
  public:
    Ruled(layers::Tape<T>& tape,
          const Pass* net,
          std::size_t block,
          const Rule& rule,
          const std::array<Value<T>, K>& in,
          const std::array<Value<T>, V>& variables,
          const std::array<Value<T>, C>& constants)
        : layers::Node<T>(tape, true, Index(kResults) * Inputs<T, K>::cols(in), true, false),
          net_(net),
          block_(block),
          rule_(rule),
          in_(in),
          variables_(variables),
          constants_(constants) {
        const auto take = [&](std::size_t rows) {
            return Block<T>{tape.scratch().template take<T>(Index(rows) * kTile), kTile};
        };
        features_ = take(K), features_bar_ = take(K), variables_at_ = take(V), variables_bar_ = take(V);
        constants_at_ = take(C), results_ = take(kResults);
        if (net->name_states(block)) this->own_bar();
    }

  private:
    using Packed = numerics::Packets<T, 1>;

    template <class E>
    static View<E> result(const View<E>& of, std::size_t r) {
        const Index n = of.cols / Index(kResults);
        return layers::part(of, Index(r) * n, n);
    }
    void run(const Tile& tile, bool taped) {
        in_.gather(tile, features_);
        net_->forward(block_, tile, features_, taped);
        variables_.gather(tile, variables_at_);
        constants_.gather(tile, constants_at_);
    }
    /// The rule at a packet of entries, of numbers that `number` makes of values and the variables' places.
    template <class Number, class Make>
    static std::array<Number, kResults> apply(const Rule& rule,
                                              const Block<T>& outputs,
                                              const Block<T>& variables,
                                              const Block<T>& constants,
                                              Index i,
                                              const Make& number) {
        return [&]<std::size_t... o, std::size_t... v, std::size_t... c>(
            std::index_sequence<o...>, std::index_sequence<v...>, std::index_sequence<c...>) {
            const auto f = rule(number(Packed::load(outputs.at(Index(o), i)), o)...,
                                number(Packed::load(variables.at(Index(v), i)), kOutputs + v)...,
                                Number(Packed::load(constants.at(Index(c), i)))...);
            if constexpr (kResults == 1)
                return std::array<Number, 1>{f};
            else
                return f;
        }
        (std::make_index_sequence<kOutputs>{}, std::make_index_sequence<V>{}, std::make_index_sequence<C>{});
    }
    void compute(const View<T>& to, T, bool) override {
        const Block<T> outputs = net_->output();
        for_each_tile(to.rows * to.cols / Index(kResults), [&](const Tile& tile) {
            run(tile, false);
            const Rule rule = rule_;  // of this function alone: what is written changes none of its numbers
            for (Index i = 0; i < tile.count; i += numerics::kPacket<T>) {
                const auto f = apply<Packed>(
                    rule, outputs, variables_at_, constants_at_, i, [](const Packed& value, std::size_t) {
                        return value;
                    });
                for (std::size_t r = 0; r < kResults; ++r) f[r].store(results_.at(Index(r), i));
            }
            for (std::size_t r = 0; r < kResults; ++r)
                scatter<false>(results_.at(Index(r), 0), tile, result(to, r));
        });
    }
    void back(const View<const T>& bar) override {
        using Number = numerics::Dual<Packed, kOutputs + V>;
        const Block<T> outputs = net_->output(), outputs_bar = net_->output_bar();
        for_each_tile(bar.rows * bar.cols / Index(kResults), [&](const Tile& tile) {
            run(tile, true);
            const Rule rule = rule_;
            const Index lanes = numerics::round_up_to_lanes<T>(tile.count);
            for (std::size_t r = 0; r < kResults; ++r) {
                nets::gather(result(bar, r), tile, results_.at(Index(r), 0));
                std::fill(results_.at(Index(r), tile.count), results_.at(Index(r), lanes), T(0));
            }
            for (Index i = 0; i < tile.count; i += numerics::kPacket<T>) {
                const auto f =
                    apply<Number>(rule, outputs, variables_at_, constants_at_, i, &Number::variable);
                const auto slope = [&](std::size_t k) {
                    Packed sum = Packed::load(results_.at(0, i)) * f[0].slope[k];
                    for (std::size_t r = 1; r < kResults; ++r)
                        sum = sum + Packed::load(results_.at(Index(r), i)) * f[r].slope[k];
                    return sum;
                };
                for (std::size_t o = 0; o < kOutputs; ++o) slope(o).store(outputs_bar.at(Index(o), i));
                for (std::size_t v = 0; v < V; ++v) slope(kOutputs + v).store(variables_bar_.at(Index(v), i));
            }
            for (std::size_t o = 0; o < kOutputs; ++o)
                std::fill(outputs_bar.at(Index(o), tile.count), outputs_bar.at(Index(o), lanes), T(0));
            variables_.add_back(tile, variables_bar_);
            net_->reverse(block_, tile, features_, in_.is_wanted() ? features_bar_ : Block<T>{});
            in_.add_back(tile, features_bar_);
        });
    }

    const Pass* net_;
    std::size_t block_;
    Rule rule_;
    Inputs<T, K> in_;
    Inputs<T, V> variables_;
    Inputs<T, C> constants_;
    Block<T> features_, features_bar_, variables_at_, variables_bar_, constants_at_, results_;
};

}  // namespace detail

/// A net in a step: what forward() runs.
template <class T, class NetType>
class Running {
  public:
    /// In forward(), once, before the net is run.
    Running(const NetType& net, layers::Step<T>& step)
        : net_(net), pass_(step.tape().template add<typename NetType::template Pass<T>>(net, step)) {}

    /// For what a part has to be told of the step: Dense's constants.
    template <std::size_t i>
    auto& part() {
        return pass_->template part<i>();
    }
    /// The outputs at the entries of block k: [B, n outputs], those of an entry side by side.
    /// @param in  each [B, n], or one number for all
    template <class... More>
    Value<T> outputs(std::size_t k, Value<T> first, More... in) {
        using N = detail::Outputs<T, typename NetType::template Pass<T>, 1 + sizeof...(More)>;
        return Value<T>(first->tape().template add<N>(
            pass_, k, net_.outputs(), std::array<Value<T>, 1 + sizeof...(More)>{first, in...}));
    }

    /// rule(outputs..., variables..., constants...) at the entries of block k: [B, n]; or, where it gives an
    /// std::array of numbers, as many such side by side. A generic callable of numbers: it is called with
    /// numerics::Packets, many entries at once, and for the slopes with numerics::Dual of them; so it does
    /// not branch, but takes max, min, clamp, abs, sign or where_less.
    /// @tparam kOutputs   of the net
    /// @param in          what the net reads; each [B, n], or one number for all, as the others
    /// @param constants   for differentiation
    template <std::size_t kOutputs, class Rule, std::size_t K, std::size_t V, std::size_t C = 0>
    Value<T> at(std::size_t k,
                const std::array<Value<T>, K>& in,
                const Rule& rule,
                const std::array<Value<T>, V>& variables,
                const std::array<Value<T>, C>& constants = {}) {
        using Result = decltype(detail::result_of<numerics::Packets<T, 1>, kOutputs + V + C>(rule));
        constexpr std::size_t kResults = detail::kCountOf<Result>;
        using Pass = typename NetType::template Pass<T>;
        using N = detail::Ruled<T, Pass, Rule, kOutputs, kResults, K, V, C>;
        if (net_.outputs() != Index(kOutputs) || net_.inputs() != Index(K))
            invalid("a net of " + std::to_string(net_.inputs()) + " inputs and " +
                    std::to_string(net_.outputs()) + " outputs is run as one of " + std::to_string(K) +
                    " and " + std::to_string(kOutputs));
        return Value<T>(in[0]->tape().template add<N>(pass_, k, rule, in, variables, constants));
    }

  private:
    const NetType& net_;
    typename NetType::template Pass<T>* pass_;
};

}  // namespace l2o::nets
