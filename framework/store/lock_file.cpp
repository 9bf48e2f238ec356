#include "framework/store/lock_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

namespace l2o::framework {
namespace {

/// Whether the path still names the file that was opened: who had the lock may have removed it since.
bool is_named(const FileHandle& file) {
    struct stat opened {
    }, named{};
    return ::fstat(file.descriptor(), &opened) == 0 && ::stat(file.path().c_str(), &named) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

FileHandle locked(const std::filesystem::path& path,
                  const std::string& owner,
                  const std::function<void(const std::string&)>& waiting) {
    constexpr std::chrono::milliseconds kBetween{100};
    for (;;) {
        FileHandle file(path, O_RDWR | O_CREAT);
        if (::flock(file.descriptor(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
            waiting(file.read_all());
            std::this_thread::sleep_for(kBetween);
        } else if (is_named(file)) {
            file.truncate(0);
            file.write(owner);
            return file;
        }
    }
}

}  // namespace

LockFile::LockFile(std::filesystem::path path,
                   const std::string& owner,
                   const std::function<void(const std::string& holder)>& waiting)
    : file_(locked(path, owner, waiting)) {}

LockFile::~LockFile() { ::unlink(file_.path().c_str()); }

}  // namespace l2o::framework
