// The main of a fuzz target where there is no libFuzzer: [-runs=N] [-seed=N] FILE|FOLDER... runs every file
// as it is, then N random changes of them. A finding is a crash; what led to it lies in <program>.input.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::uint8_t>;

Bytes bytes_of(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void run(const Bytes& input) {
    // Exactly as long as the input, so that a sanitizer sees what reads beyond.
    const Bytes copy(input);
    LLVMFuzzerTestOneInput(copy.data(), copy.size());
}

class Mutator {
  public:
    Mutator(std::vector<Bytes> corpus, std::uint64_t seed) : corpus_(std::move(corpus)), random_(seed) {}

    Bytes next() {
        Bytes input = pick(corpus_);
        for (std::size_t changes = 1 + below(4); changes > 0; --changes) change(input);
        return input;
    }

  private:
    std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_); }
    const Bytes& pick(const std::vector<Bytes>& from) { return from[below(from.size())]; }
    std::ptrdiff_t place(const Bytes& in) { return static_cast<std::ptrdiff_t>(below(in.size() + 1)); }

    void change(Bytes& input) {
        static const std::vector<Bytes> telling{
            {0}, {0xFF}, {'{'}, {'}'}, {'"'}, {'\\'}, {'-', '1'}, {'1', 'e', '9', '9'}, Bytes(8, 0xFF)};
        const std::ptrdiff_t at = place(input);
        switch (below(5)) {
            case 0:  // a bit
                if (!input.empty()) input[below(input.size())] ^= static_cast<std::uint8_t>(1U << below(8));
                break;
            case 1: {  // something in between
                const Bytes& text = pick(telling);
                input.insert(input.begin() + at, text.begin(), text.end());
                break;
            }
            case 2:  // a piece is missing
                input.erase(input.begin() + at, input.begin() + std::max(at, place(input)));
                break;
            case 3:  // it ends
                input.resize(static_cast<std::size_t>(at));
                break;
            default: {  // a piece of another file
                const Bytes& other = pick(corpus_);
                const std::ptrdiff_t a = place(other), b = place(other);
                input.insert(
                    input.begin() + at, other.begin() + std::min(a, b), other.begin() + std::max(a, b));
            }
        }
    }

    std::vector<Bytes> corpus_;
    std::mt19937_64 random_;
};

}  // namespace

int main(int argc, char** argv) {
    std::uint64_t runs = 0, seed = 1;
    std::vector<Bytes> corpus;
    for (const std::string& argument : std::vector<std::string>(argv + 1, argv + argc)) {
        if (argument.starts_with("-runs=")) {
            runs = std::stoull(argument.substr(6));
        } else if (argument.starts_with("-seed=")) {
            seed = std::stoull(argument.substr(6));
        } else if (fs::is_directory(argument)) {
            std::vector<fs::path> files;
            for (const auto& file : fs::directory_iterator(argument)) files.push_back(file.path());
            std::sort(files.begin(), files.end());
            for (const fs::path& file : files) corpus.push_back(bytes_of(file));
        } else {
            corpus.push_back(bytes_of(argument));
        }
    }
    if (corpus.empty()) {
        std::fprintf(stderr, "usage: %s [-runs=N] [-seed=N] FILE|FOLDER...\n", argv[0]);
        return 2;
    }
    const std::string last = fs::path(argv[0]).filename().string() + ".input";
    for (const Bytes& input : corpus) run(input);
    Mutator mutator(corpus, seed);
    for (std::uint64_t i = 0; i < runs; ++i) {
        const Bytes input = mutator.next();
        std::ofstream(last, std::ios::binary)
            .write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
        run(input);
    }
    fs::remove(last);
    std::printf("%zu files of the corpus, %llu changed inputs (seed %llu): no finding\n",
                corpus.size(),
                static_cast<unsigned long long>(runs),
                static_cast<unsigned long long>(seed));
    return 0;
}
