#include "framework/export/export_folder.hpp"

#include "framework/experiment/run_folder.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/hash.hpp"
#include "framework/store/own_files.hpp"

namespace l2o::framework {

void write_export(const std::filesystem::path& folder, const ExportFiles& files, const std::string& option) {
    make_folders(folder);
    const FileHandle lock =
        lock_folder(folder, "wait until it is done, or write elsewhere with " + option + " FOLDER");
    const OwnFiles own(folder, "export", "an export of l2o", "export elsewhere with " + option + " FOLDER");
    OwnFiles::Names before = own.known(), after = own.known();
    for (const auto& [name, text] : files) {
        if (is_there(folder / name)) own.check_is_own(name);
        after[name] = {sha1_hex(text)};
        before[name].insert(sha1_hex(text));
    }
    own.write(before);  // whatever an export that is killed leaves is known by then
    for (const auto& [name, text] : files) {
        make_folders((folder / name).parent_path());
        write_file_atomically(folder / name, text);
    }
    own.write(after);
}

}  // namespace l2o::framework
