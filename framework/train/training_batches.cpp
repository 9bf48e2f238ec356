#include "framework/train/training_batches.hpp"

#include <utility>

namespace l2o::framework {
namespace {

std::int64_t bytes_of_all(const std::vector<Tensor>& tensors) {
    std::int64_t sum = 0;
    for (const Tensor& tensor : tensors) sum += tensor ? tensor.bytes() : 0;
    return sum;
}

}  // namespace

bool TrainingBatches::fits(std::int64_t bytes) const {
    return memory_bytes_ == 0 ||
           static_cast<std::uint64_t>(instance_bytes_ + prefix_bytes_ + bytes) <= memory_bytes_;
}

bool TrainingBatches::start(Shards& shards, std::uint64_t index, std::uint64_t first, std::int64_t prefix) {
    auto kept = batches_.find(first);
    if (kept == batches_.end()) {
        ProblemData drawn = shards.draw(first);
        shards.start(index, drawn);
        const std::int64_t bytes = bytes_of_all(drawn.tensors);
        if (fits(bytes)) {
            instance_bytes_ += bytes;
            kept = batches_.try_emplace(first).first;
            kept->second.instances = std::move(drawn);
        }
    } else {
        shards.start(index, kept->second.instances);
    }
    if (prefix == 0) return true;
    if (kept != batches_.end() && !kept->second.prefix.empty()) {
        shards.restore(prefix, pointers(kept->second.prefix));
        return true;
    }
    if (!shards.advance(prefix)) {
        if (kept != batches_.end())
            shards.start(index, kept->second.instances);
        else
            shards.start(index, shards.draw(first));
        return false;
    }
    if (kept == batches_.end()) return true;
    Carried reached = copies(shards.carried());
    std::int64_t bytes = 0;
    for (const auto& tensors : reached) bytes += bytes_of_all(tensors);
    if (!fits(bytes)) return true;
    prefix_bytes_ += bytes;
    kept->second.prefix = std::move(reached);
    return true;
}

void TrainingBatches::forget_prefixes() {
    for (auto& [first, batch] : batches_) batch.prefix.clear();
    prefix_bytes_ = 0;
}

}  // namespace l2o::framework
