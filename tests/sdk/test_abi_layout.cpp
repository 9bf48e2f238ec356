// The binary layout of the ABI against the committed table of this candidate of its first release: structs
// may grow at the end, nothing else may change.
#include <doctest/doctest.h>
#include <l2o/abi/status.h>
#include <l2o/abi/tensor.h>

#include <bit>
#include <cstddef>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

#include "abi_layout.h"

namespace {

struct Field {
    std::string name;
    unsigned long offset = 0, size = 0;
    bool operator==(const Field&) const = default;
};
struct Struct {
    unsigned long size = 0;
    std::vector<Field> fields;
};
struct Table {
    std::map<std::string, Struct> structs;
    std::map<std::string, unsigned long> constants;
};

Table current() {
    Table table;
    unsigned long count = 0;
    const l2o_layout_line* lines = l2o_abi_layout(&count);
    for (unsigned long i = 0; i < count; ++i) {
        const std::string kind = lines[i].kind;
        if (kind == "struct") table.structs[lines[i].name].size = lines[i].size;
        if (kind == "field")
            table.structs[lines[i].owner].fields.push_back({lines[i].name, lines[i].offset, lines[i].size});
        if (kind == "constant") table.constants[lines[i].name] = lines[i].offset;
    }
    return table;
}

Table read(std::istream& text) {
    Table table;
    std::string last;
    for (std::string line; std::getline(text, line);) {
        std::istringstream words(line);
        std::string name;
        if (line.starts_with("struct ")) {
            words >> name >> last >> table.structs[last].size;
        } else if (line.starts_with("constant ")) {
            words >> name >> last >> table.constants[last];
        } else {
            Field field;
            words >> field.name >> field.offset >> field.size;
            table.structs[last].fields.push_back(field);
        }
    }
    return table;
}

/// What of `before` a program built against it would no longer find.
std::vector<std::string> broken(const Table& before, const Table& now) {
    std::vector<std::string> out;
    for (const auto& [name, value] : before.constants) {
        if (!now.constants.contains(name) || now.constants.at(name) != value) out.push_back(name);
    }
    for (const auto& [name, then] : before.structs) {
        if (!now.structs.contains(name)) {
            out.push_back(name);
            continue;
        }
        const Struct& is = now.structs.at(name);
        if (is.size < then.size || is.size % 8 != 0)
            out.push_back(name + " has size " + std::to_string(is.size));
        for (std::size_t i = 0; i < then.fields.size(); ++i) {
            if (i >= is.fields.size() || is.fields[i] != then.fields[i]) {
                out.push_back(name + "." + then.fields[i].name);
                break;
            }
        }
    }
    return out;
}

/// DLPack 1.x, dlpack.h: DLTensor with its DLDevice and DLDataType, under other names.
struct DlDevice {
    std::int32_t device_type, device_id;
};
struct DlDataType {
    std::uint8_t code, bits;
    std::uint16_t lanes;
    bool operator==(const DlDataType&) const = default;
};
struct DlTensor {
    void* data;
    DlDevice device;
    std::int32_t ndim;
    DlDataType dtype;
    std::int64_t *shape, *strides;
    std::uint64_t byte_offset;
};
static_assert(sizeof(l2o_tensor) == 48 && sizeof(DlTensor) == 48);
static_assert(alignof(l2o_tensor) == alignof(DlTensor));
static_assert(offsetof(l2o_tensor, data) == offsetof(DlTensor, data));
static_assert(offsetof(l2o_tensor, device_type) == offsetof(DlTensor, device));
static_assert(offsetof(l2o_tensor, device_id) == offsetof(DlTensor, device) + offsetof(DlDevice, device_id));
static_assert(offsetof(l2o_tensor, ndim) == offsetof(DlTensor, ndim));
static_assert(offsetof(l2o_tensor, dtype) == offsetof(DlTensor, dtype));
static_assert(offsetof(l2o_tensor, shape) == offsetof(DlTensor, shape));
static_assert(offsetof(l2o_tensor, strides) == offsetof(DlTensor, strides));
static_assert(offsetof(l2o_tensor, byte_offset) == offsetof(DlTensor, byte_offset));
static_assert(std::endian::native != std::endian::little ||
              (std::bit_cast<DlDataType>(L2O_DTYPE_F32) == DlDataType{2, 32, 1} &&
               std::bit_cast<DlDataType>(L2O_DTYPE_I64) == DlDataType{0, 64, 1} &&
               std::bit_cast<DlDataType>(L2O_DTYPE_U8) == DlDataType{1, 8, 1}));
static_assert(std::is_standard_layout_v<l2o_tensor> && std::is_trivially_copyable_v<l2o_tensor>);

}  // namespace

TEST_CASE("a program built against this candidate finds every struct, field and constant where it was") {
    std::ifstream file(L2O_ABI_LAYOUT_FILE);
    REQUIRE(file);
    const Table golden = read(file);
    CHECK(golden.structs.size() == 25);
    CHECK(broken(golden, current()) == std::vector<std::string>{});
}

TEST_CASE("the table lists every field: no struct has a gap or a tail that no field explains") {
    for (const auto& [name, is] : current().structs) {
        const auto& which = name;
        CAPTURE(which);
        unsigned long end = 0;
        for (const Field& field : is.fields) {
            CAPTURE(field.name);
            CHECK(field.offset == end);
            end = field.offset + field.size;
        }
        CHECK(is.size == end);
    }
}

TEST_CASE("the comparison lets a struct grow at its end and catches everything else") {
    const auto table = [](const char* text) {
        std::istringstream stream(text);
        return read(stream);
    };
    const Table before = table("constant C 3\nstruct s 16\n  a 0 8\n  b 8 8\n");
    CHECK(broken(before, before).empty());
    CHECK(broken(before, table("constant C 3\nconstant D 4\nstruct s 24\n  a 0 8\n  b 8 8\n  c 16 8\n"))
              .empty());
    CHECK(broken(before, table("constant C 3\nstruct s 16\n  b 0 8\n  a 8 8\n")) ==
          std::vector<std::string>{"s.a"});
    CHECK(broken(before, table("constant C 3\nstruct s 16\n  a 0 8\n  b 8 4\n  c 12 4\n")) ==
          std::vector<std::string>{"s.b"});
    CHECK(broken(before, table("constant C 3\nstruct s 8\n  a 0 8\n")) ==
          std::vector<std::string>{"s has size 8", "s.b"});
    CHECK(broken(before, table("constant C 2\nstruct s 16\n  a 0 8\n  b 8 8\n")) ==
          std::vector<std::string>{"C"});
    CHECK(broken(before, table("constant C 3\n")) == std::vector<std::string>{"s"});
}

TEST_CASE("the severity of a status says what may still be called; an unknown one costs the instance") {
    CHECK(l2o_status_severity(L2O_STATUS_OK) == L2O_SEVERITY_NONE);
    for (const l2o_status status : {L2O_STATUS_NUMERICAL, L2O_STATUS_CANCELLED})
        CHECK(l2o_status_severity(status) == L2O_SEVERITY_DISCARD);
    for (const l2o_status status :
         {L2O_STATUS_INVALID, L2O_STATUS_UNSUPPORTED, L2O_STATUS_NOMEM, L2O_STATUS_IO})
        CHECK(l2o_status_severity(status) == L2O_SEVERITY_CALL);
    for (const l2o_status status : {l2o_status{L2O_STATUS_INTERNAL}, l2o_status{99}, l2o_status{-1}})
        CHECK(l2o_status_severity(status) == L2O_SEVERITY_INSTANCE);
    CHECK(l2o_status_severity(L2O_STATUS_FATAL) == L2O_SEVERITY_LIBRARY);
}
