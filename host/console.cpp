#include "host/console.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <iostream>
#include <streambuf>
#include <string>

#include "framework/text/json.hpp"
#include "framework/text/printable.hpp"
#include "framework/text/table.hpp"

namespace l2o::host {
namespace {

int own_stdout = STDOUT_FILENO;
bool is_json_printed = false;

/// 0: it is no terminal, or one that does not know.
std::size_t columns_of(int descriptor) {
    winsize size{};
    return ::isatty(descriptor) == 1 && ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/// Has no buffer: a letter is a text of its own.
class TextSink : public std::streambuf {
  protected:
    int_type overflow(int_type c) override {
        if (traits_type::eq_int_type(c, traits_type::eof())) return traits_type::not_eof(c);
        const char letter = traits_type::to_char_type(c);
        return xsputn(&letter, 1) == 1 ? c : traits_type::eof();
    }
};

/// Writes to a descriptor, without delay: what it gets comes in lines.
class DescriptorBuffer : public TextSink {
  public:
    explicit DescriptorBuffer(int descriptor) : descriptor_(descriptor) {}

  protected:
    std::streamsize xsputn(const char* text, std::streamsize count) override {
        for (std::streamsize done = 0; done < count;) {
            const ssize_t written = ::write(descriptor_, text + done, static_cast<std::size_t>(count - done));
            if (written < 0 && errno != EINTR) return done;
            if (written > 0) done += written;
        }
        return count;
    }

  private:
    int descriptor_;
};

}  // namespace

class PrintableStreams::Filter : public TextSink {
  public:
    explicit Filter(std::ostream& stream) : stream_(stream), target_(stream.rdbuf(this)) {}
    ~Filter() override {
        pass_on();
        stream_.rdbuf(target_);
    }

  protected:
    std::streamsize xsputn(const char* text, std::streamsize count) override {
        const std::string_view more(text, static_cast<std::size_t>(count));
        // In whole lines: a character may come in parts.
        const std::size_t end = more.rfind('\n') + 1;
        waiting_ += more.substr(0, end);
        const bool is_written = end == 0 || pass_on();
        waiting_ += more.substr(end);
        return is_written ? count : 0;
    }

    int sync() override { return pass_on() && target_->pubsync() == 0 ? 0 : -1; }

  private:
    bool pass_on() {
        const std::string text = framework::printable(waiting_);
        waiting_.clear();
        const auto size = static_cast<std::streamsize>(text.size());
        return target_->sputn(text.data(), size) == size;
    }

    std::ostream& stream_;
    std::streambuf* target_;
    std::string waiting_;
};

PrintableStreams::PrintableStreams()
    : out_(std::make_unique<Filter>(std::cout)), err_(std::make_unique<Filter>(std::cerr)) {}

PrintableStreams::~PrintableStreams() = default;

void keep_stdout() {
    constexpr int kBehindTheStandardOnes = 3;
    const int kept = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, kBehindTheStandardOnes);
    if (kept < 0) return;
    static auto& buffer = *new DescriptorBuffer(kept);  // std::cout is flushed after statics are gone
    std::cout.flush();
    std::cout.rdbuf(&buffer);
    own_stdout = kept;
    (void)::dup2(STDERR_FILENO, STDOUT_FILENO);
}

void print_json(const nlohmann::json& document) {
    is_json_printed = true;
    std::cout << framework::json_text(document, 2) << "\n";
}

bool has_printed_json() { return is_json_printed; }

int stdout_descriptor() { return own_stdout; }

std::string message(std::string_view text) {
    constexpr std::size_t kLongest = 4000, kEnd = 1000;  // chosen: a screen full
    std::string line = framework::one_line(text);
    if (line.size() <= kLongest) return line;
    // Not within a character.
    const auto is_within = [&](std::size_t at) { return (line[at] & '\xC0') == '\x80'; };
    std::size_t first = kLongest - kEnd, last = line.size() - kEnd;
    while (is_within(first)) --first;
    while (is_within(last)) ++last;
    return line.substr(0, first) + " [" + std::to_string(last - first) + " bytes] " + line.substr(last);
}

std::size_t stdout_columns() {
    const std::size_t columns = columns_of(own_stdout);
    return columns > 0 ? columns : framework::kAnyWidth;
}

bool StderrTerminal::is_there() {
    const char* kind = std::getenv("TERM");
    return ::isatty(STDERR_FILENO) == 1 && kind != nullptr && *kind != '\0' &&
           std::string_view(kind) != "dumb";
}

std::size_t StderrTerminal::columns() {
    constexpr std::size_t kUsual = 80;
    const std::size_t columns = columns_of(STDERR_FILENO);
    return columns > 0 ? columns : kUsual;
}

void StderrTerminal::rewrite_line(std::string_view text) {
    // One column less: a terminal may go on in the next line after a letter in the last.
    const std::string line = "\r" + framework::cut_to(text, columns() - 1) + "\x1b[K";
    std::string_view rest = line;
    while (!rest.empty()) {
        const ssize_t written = ::write(STDERR_FILENO, rest.data(), rest.size());
        if (written < 0 && errno != EINTR) return;
        if (written > 0) rest.remove_prefix(static_cast<std::size_t>(written));
    }
}

}  // namespace l2o::host
