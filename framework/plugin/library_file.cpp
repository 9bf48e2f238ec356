#include "framework/plugin/library_file.hpp"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <type_traits>
#include <vector>

#include "framework/store/hash.hpp"

namespace l2o::framework {
namespace {

/// Opened without waiting: a FIFO has no end to read to.
FileHandle open_library(const std::filesystem::path& path) try {
    return {path, O_RDONLY | O_NONBLOCK};
} catch (const Error& error) {
    throw library_error(path, std::string("cannot be loaded: ") + error.what());
}

constexpr std::uint64_t kMostNoteBytes = 1 << 16;  // chosen: a build id takes 36
constexpr std::uint64_t kMostHeaders = 1 << 10;    // chosen: libraries have about ten

/// Bytes of a file by their place; every place is checked against its size.
class Bytes {
  public:
    Bytes(const FileHandle& file, std::uint64_t size) : file_(file), size_(size) {
        first_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(size, kFirst)));
        read(0, first_.data(), first_.size());
    }

    [[nodiscard]] bool has(std::uint64_t at, std::uint64_t count) const {
        return at <= size_ && count <= size_ - at;
    }
    /// @pre has(at, sizeof(Struct))
    template <class Struct>
    [[nodiscard]] Struct get(std::uint64_t at) const {
        static_assert(std::is_trivially_copyable_v<Struct>);
        Struct out{};
        copy(at, reinterpret_cast<char*>(&out), sizeof out);
        return out;
    }
    /// @pre has(at, count)
    [[nodiscard]] std::string text(std::uint64_t at, std::uint64_t count) const {
        std::string out(static_cast<std::size_t>(count), '\0');
        copy(at, out.data(), out.size());
        return out;
    }

  private:
    static constexpr std::size_t kFirst = 4096;  // headers and note of a usual library lie in its first page

    void copy(std::uint64_t at, char* to, std::size_t count) const {
        if (at <= first_.size() && count <= first_.size() - at)
            std::memcpy(to, first_.data() + at, count);
        else
            read(at, to, count);
    }
    void read(std::uint64_t at, char* to, std::size_t count) const {
        for (std::size_t done = 0; done < count;) {
            const ssize_t got =
                ::pread(file_.descriptor(), to + done, count - done, static_cast<off_t>(at + done));
            if (got > 0)
                done += static_cast<std::size_t>(got);
            else if (got == 0 || errno != EINTR)
                throw library_error(file_.path(), "cannot be loaded: it cannot be read to its end");
        }
    }

    const FileHandle& file_;
    std::uint64_t size_;
    std::string first_;
};

/// The build id in the notes of a segment; "" : there is none, or they make no sense.
std::string build_id_in(std::string_view notes) {
    const auto padded = [](std::uint32_t size) { return (std::uint64_t{size} + 3) / 4 * 4; };
    while (notes.size() >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr note{};
        std::memcpy(&note, notes.data(), sizeof note);
        notes.remove_prefix(sizeof note);
        const std::uint64_t name = padded(note.n_namesz), content = padded(note.n_descsz);
        if (name > notes.size() || note.n_descsz > notes.size() - name) return "";
        const bool is_gnu = notes.substr(0, note.n_namesz) == std::string_view("GNU\0", 4);
        if (is_gnu && note.n_type == NT_GNU_BUILD_ID) {
            constexpr const char* kDigits = "0123456789abcdef";
            std::string hex;
            for (const char byte : notes.substr(name, note.n_descsz)) {
                hex += kDigits[static_cast<unsigned char>(byte) >> 4];
                hex += kDigits[static_cast<unsigned char>(byte) & 0xF];
            }
            return hex;
        }
        notes.remove_prefix(std::min<std::uint64_t>(name + content, notes.size()));
    }
    return "";
}

}  // namespace

Error library_error(const std::filesystem::path& path, const std::string& text) {
    return {ExitCode::kPlugin, "plugin '" + path.string() + "': " + text};
}

LibraryFile::LibraryFile(const std::filesystem::path& path) : file_(open_library(path)) {
    if (::fstat(file_.descriptor(), &status_) != 0 || !S_ISREG(status_.st_mode))
        throw library_error(path, "cannot be loaded: it is no regular file; expected a plugin library");
    build_.size = status_.st_size;
    read_headers();
}

// ELF-64 Object File Format, version 1.5, "File header", "Program header table", "Note sections".
void LibraryFile::read_headers() {
    const auto size = static_cast<std::uint64_t>(build_.size);
    const Bytes bytes(file_, size);
    const auto refuse = [&](const std::string& text) -> Error {
        return library_error(file_.path(), "cannot be loaded: " + text);
    };
    const auto require = [&](std::uint64_t at, std::uint64_t count, const char* what) {
        if (bytes.has(at, count)) return;
        throw refuse(fmt::format(
            "it is cut short or damaged: its {} ends beyond its {} bytes; build or install it again",
            what,
            size));
    };
    if (!bytes.has(0, SELFMAG) || bytes.text(0, SELFMAG) != ELFMAG)
        throw refuse("it is no ELF file; expected a shared library");
    require(0, sizeof(Elf64_Ehdr), "file header");
    const auto header = bytes.get<Elf64_Ehdr>(0);
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
        header.e_machine != EM_X86_64)
        throw refuse("it is built for another machine; expected x86-64");
    if (header.e_type != ET_DYN) throw refuse("it is an ELF file of another kind; expected a shared library");
    const std::uint64_t segments = header.e_phnum, sections = header.e_shnum;
    if (header.e_phentsize != sizeof(Elf64_Phdr) || segments == 0 || segments > kMostHeaders)
        throw refuse("its program headers make no sense; build or install it again");
    require(header.e_phoff, segments * sizeof(Elf64_Phdr), "program header table");
    // Nobody maps the section headers; they come last, and so tell of a file whose end is missing.
    if (sections > 0) require(header.e_shoff, sections * header.e_shentsize, "section header table");
    for (std::uint64_t i = 0; i < segments; ++i) {
        const auto segment = bytes.get<Elf64_Phdr>(header.e_phoff + i * sizeof(Elf64_Phdr));
        if (segment.p_type == PT_NULL) continue;
        if (segment.p_type == PT_LOAD || segment.p_type == PT_DYNAMIC || segment.p_type == PT_NOTE)
            require(segment.p_offset, segment.p_filesz, "segment");
        if (segment.p_type == PT_LOAD && segment.p_filesz > segment.p_memsz)
            throw refuse("a segment of it is larger than its memory; build or install it again");
        if (segment.p_type == PT_NOTE && build_.id.empty() && segment.p_filesz <= kMostNoteBytes)
            build_.id = build_id_in(bytes.text(segment.p_offset, segment.p_filesz));
    }
}

// ELF-64 Object File Format, version 1.5, "Sections", "Symbol table".
std::vector<std::string> LibraryFile::exports() const {
    constexpr std::array<std::string_view, 5> kOfTheLinker{"_init", "_fini", "_edata", "_end", "__bss_start"};
    constexpr std::uint64_t kMostSymbols = 1 << 20;  // chosen: without a version script there are thousands
    std::vector<std::string> exported;
    const Bytes bytes(file_, static_cast<std::uint64_t>(build_.size));
    const auto header = bytes.get<Elf64_Ehdr>(0);
    const auto section = [&](std::uint64_t i) {
        const std::uint64_t at = header.e_shoff + i * sizeof(Elf64_Shdr);
        return i < header.e_shnum && bytes.has(at, sizeof(Elf64_Shdr)) ? bytes.get<Elf64_Shdr>(at)
                                                                       : Elf64_Shdr{};
    };
    for (std::uint64_t i = 0; i < header.e_shnum; ++i) {
        const Elf64_Shdr symbols = section(i);
        if (symbols.sh_type != SHT_DYNSYM) continue;
        const Elf64_Shdr names = section(symbols.sh_link);
        const std::uint64_t count = symbols.sh_size / sizeof(Elf64_Sym);
        if (count > kMostSymbols || !bytes.has(symbols.sh_offset, symbols.sh_size) ||
            !bytes.has(names.sh_offset, names.sh_size))
            throw library_error(file_.path(),
                                "cannot be loaded: its symbols make no sense; build or install it again");
        const std::string all = bytes.text(symbols.sh_offset, symbols.sh_size),
                          texts = bytes.text(names.sh_offset, names.sh_size);
        for (std::uint64_t k = 0; k < count; ++k) {
            Elf64_Sym symbol{};
            std::memcpy(&symbol, all.data() + k * sizeof symbol, sizeof symbol);
            const bool is_seen = ELF64_ST_BIND(symbol.st_info) != STB_LOCAL && symbol.st_shndx != SHN_UNDEF &&
                                 ELF64_ST_VISIBILITY(symbol.st_other) == STV_DEFAULT;
            if (!is_seen || symbol.st_name >= texts.size()) continue;
            std::string name = texts.c_str() + symbol.st_name;
            if (std::find(kOfTheLinker.begin(), kOfTheLinker.end(), name) == kOfTheLinker.end())
                exported.push_back(std::move(name));
        }
    }
    return exported;
}

Build LibraryFile::build_with_content() {
    Build build = build_;
    if (::lseek(file_.descriptor(), 0, SEEK_SET) != 0)
        throw io_error(file_.path(), "cannot read", errno, "expected a readable file");
    build.content = sha1_hex(file_);
    return build;
}

bool LibraryFile::is_unchanged() const {
    struct stat open {
    }, named{};
    if (::fstat(file_.descriptor(), &open) != 0 || ::stat(file_.path().c_str(), &named) != 0) return false;
    const auto is_same = [&](const struct stat& other) {
        const auto same_time = [](const timespec& a, const timespec& b) {
            return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
        };
        return other.st_dev == status_.st_dev && other.st_ino == status_.st_ino &&
               other.st_size == status_.st_size && same_time(other.st_mtim, status_.st_mtim);
    };
    return is_same(open) && is_same(named);
}

std::filesystem::path built_for(const std::filesystem::path& library, bool is_x86_64_v4) {
    if (!is_x86_64_v4) return library;
    const std::filesystem::path wide = library.parent_path() / kWideFolder / library.filename();
    std::error_code code;
    return std::filesystem::exists(wide, code) ? wide : library;
}

bool is_x86_64_v4() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}

}  // namespace l2o::framework
