#include "framework/store/lock_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

namespace l2o::framework {
namespace {

FileHandle locked(const std::filesystem::path& path,
                  const std::string& owner,
                  const std::function<void(const std::string&)>& waiting) {
    constexpr std::chrono::milliseconds kBetween{100};
    for (;;) {
        FileHandle file(path, O_RDWR | O_CREAT);
        if (::flock(file.descriptor(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
            waiting(file.read_all());
            std::this_thread::sleep_for(kBetween);
        } else if (file.is_named()) {  // who had the lock may have removed it since
            file.truncate(0);
            file.write(owner);
            return file;
        }
    }
}

}  // namespace

LockFile::LockFile(const std::filesystem::path& path,
                   const std::string& owner,
                   const std::function<void(const std::string& holder)>& waiting)
    : file_(locked(path, owner, waiting)) {}

LockFile::~LockFile() { ::unlink(file_.path().c_str()); }

}  // namespace l2o::framework
