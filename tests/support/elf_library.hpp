#pragma once

#include <elf.h>

#include <cstring>
#include <string>

namespace l2o::test {

/// The bytes of a file with the headers of a shared library and a build id, and without anything to load.
inline std::string elf_library(const std::string& build_id) {
    const std::string name("GNU\0", 4);
    const Elf64_Nhdr note{
        static_cast<Elf64_Word>(name.size()), static_cast<Elf64_Word>(build_id.size()), NT_GNU_BUILD_ID};
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = ET_DYN;
    header.e_machine = EM_X86_64;
    header.e_version = EV_CURRENT;
    header.e_ehsize = sizeof header;
    header.e_phoff = sizeof header;
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 1;
    Elf64_Phdr segment{};
    segment.p_type = PT_NOTE;
    segment.p_offset = sizeof header + sizeof segment;
    segment.p_filesz = segment.p_memsz = sizeof note + name.size() + build_id.size();
    std::string bytes;
    bytes.append(reinterpret_cast<const char*>(&header), sizeof header);
    bytes.append(reinterpret_cast<const char*>(&segment), sizeof segment);
    bytes.append(reinterpret_cast<const char*>(&note), sizeof note);
    return bytes + name + build_id;
}

}  // namespace l2o::test
