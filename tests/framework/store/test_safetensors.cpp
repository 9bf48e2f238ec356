#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "framework/store/atomic_file.hpp"
#include "framework/store/safetensors.hpp"
#include "tests/framework/store/error_text.hpp"
#include "tests/framework/store/scratch_folder.hpp"

using namespace l2o::framework;
using namespace std::string_literals;

namespace {

// A file of this header, with its true length, and this data.
std::string file_of(const std::string& header, const std::string& data = "") {
    std::string length(8, '\0');
    for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<char>(header.size() >> (8 * i));
    return length + header + data;
}

std::string text_of_reading(const std::filesystem::path& path, const std::string& bytes) {
    write_file_atomically(path, bytes);
    return io_error_text([&] { (void)read_safetensors(path); });
}

std::string bytes_of_tensor(const Tensor& tensor) {
    return {static_cast<const char*>(tensor.data()), static_cast<std::size_t>(tensor.bytes())};
}

Tensor floats(Shape shape, std::vector<float> values) {
    Tensor tensor(Dtype::kF32, std::move(shape));
    std::ranges::copy(values, tensor.values<float>().begin());
    return tensor;
}

}  // namespace

// Written by hand after the format's description: length of the header, JSON padded with blanks to a multiple
// of 8, data; tensors by falling alignment of their type, then by name.
TEST_CASE("safetensors: a written file has exactly these bytes") {
    const ScratchFolder folder;
    Tensor a(Dtype::kU8, {3, 1});
    std::ranges::copy(std::initializer_list<std::uint8_t>{7, 8, 9}, a.values<std::uint8_t>().begin());
    const Tensor b = floats({2}, {1.0F, -2.0F});
    Tensor c(Dtype::kI64, {});
    c.values<std::int64_t>()[0] = -2;
    write_safetensors(folder / "f", {{"a", &a}, {"b", &b}, {"c", &c}}, {{"k", "v"}});

    const std::string header = R"({"__metadata__":{"k":"v"},)"
                               R"("c":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
                               R"("b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},)"
                               R"("a":{"dtype":"U8","shape":[3,1],"data_offsets":[16,19]}})";
    CHECK(read_file(folder / "f") == "\xc0\0\0\0\0\0\0\0"s + header + "    " +
                                         "\xfe\xff\xff\xff\xff\xff\xff\xff"s + "\0\0\x80\x3f\0\0\0\xc0"s +
                                         "\7\10\11"s);
}

TEST_CASE("safetensors: within a type tensors are ordered by name, and types from I64 down to U8") {
    const ScratchFolder folder;
    std::map<std::string, Tensor> tensors;
    for (const char* name : {"z", "y"})
        for (const Dtype dtype : {Dtype::kU8, Dtype::kI32, Dtype::kF32, Dtype::kF64, Dtype::kI64})
            tensors.emplace(name + std::string(name_of(dtype)), Tensor(dtype, {1}));
    TensorRefs refs;
    for (const auto& [name, tensor] : tensors) refs.emplace(name, &tensor);
    write_safetensors(folder / "f", refs);
    const std::string bytes = read_file(folder / "f");
    std::size_t last = 0;
    for (const char* name : {"yint64",
                             "zint64",
                             "yfloat64",
                             "zfloat64",
                             "yfloat32",
                             "zfloat32",
                             "yint32",
                             "zint32",
                             "yuint8",
                             "zuint8"}) {
        const std::size_t at = bytes.find(name);
        CAPTURE(name);
        REQUIRE(at != std::string::npos);
        CHECK(at > last);
        last = at;
    }
}

// The example in the reference implementation's documentation of SafeTensors::deserialize.
TEST_CASE("safetensors: the reference's example is read") {
    const ScratchFolder folder;
    write_file_atomically(folder / "f",
                          "<\0\0\0\0\0\0\0"s +
                              R"({"test":{"dtype":"I32","shape":[2,2],"data_offsets":[0,16]}})" +
                              std::string(16, '\0'));
    const TensorFile file = read_safetensors(folder / "f");
    CHECK(file.tensors.size() == 1);
    CHECK(file.at("test").dtype() == Dtype::kI32);
    CHECK(file.at("test").shape() == Shape{2, 2});
}

TEST_CASE("safetensors: every bit, shape, type and text comes back, and rewriting gives the same file") {
    const ScratchFolder folder;
    std::map<std::string, Tensor> tensors;
    std::mt19937 random(20240607);  // bytes that include NaN payloads and denormals
    for (const Dtype dtype : {Dtype::kF32, Dtype::kF64, Dtype::kI32, Dtype::kI64, Dtype::kU8})
        for (const Shape& shape : {Shape{}, Shape{0, 3}, Shape{5}, Shape{3, 1, 7}}) {
            Tensor tensor(dtype, shape);
            for (std::int64_t i = 0; i < tensor.bytes(); ++i)
                static_cast<unsigned char*>(tensor.data())[i] = static_cast<unsigned char>(random());
            tensors.emplace(name_of(dtype) + to_string(shape) + " \"ä\\", std::move(tensor));
        }
    const std::map<std::string, std::string> metadata{{"config", "a \"b\"\n{ü}"}, {"", ""}};
    TensorRefs refs;
    for (const auto& [name, tensor] : tensors) refs.emplace(name, &tensor);
    write_safetensors(folder / "f", refs, metadata);

    const TensorFile file = read_safetensors(folder / "f");
    CHECK(file.metadata == metadata);
    REQUIRE(file.tensors.size() == tensors.size());
    for (const auto& [name, tensor] : tensors) {
        const auto& which = name;
        CAPTURE(which);
        CHECK(file.at(name).dtype() == tensor.dtype());
        CHECK(file.at(name).shape() == tensor.shape());
        CHECK(bytes_of_tensor(file.at(name)) == bytes_of_tensor(tensor));
    }

    TensorRefs read_refs;
    for (const auto& [name, tensor] : file.tensors) read_refs.emplace(name, &tensor);
    write_safetensors(folder / "g", read_refs, file.metadata);
    CHECK(read_file(folder / "g") == read_file(folder / "f"));
}

TEST_CASE("safetensors: a file without tensors is read") {
    const ScratchFolder folder;
    write_safetensors(folder / "f", {});
    CHECK(read_file(folder / "f") == "\10\0\0\0\0\0\0\0{}      "s);
    const TensorFile file = read_safetensors(folder / "f");
    CHECK(file.tensors.empty());
    CHECK(io_error_text([&] { (void)file.at("w"); }) ==
          (folder / "f").string() + ": has no tensor 'w'; the file holds no tensors");
}

TEST_CASE("safetensors: a tensor outlives the TensorFile and the replacement of the file") {
    const ScratchFolder folder;
    const Tensor old = floats({2}, {1, 2});
    const Tensor replacement = floats({2}, {3, 4});
    write_safetensors(folder / "f", {{"w", &old}});
    Tensor kept;
    {
        TensorFile file = read_safetensors(folder / "f");
        kept = std::move(file.tensors.at("w"));
    }
    write_safetensors(folder / "f", {{"w", &replacement}});
    CHECK(kept.value(1) == 2);
    CHECK(read_safetensors(folder / "f").at("w").value(1) == 4);
}

TEST_CASE("safetensors: what becomes of a file after it was read changes nothing and takes nobody down") {
    const ScratchFolder folder;
    const Tensor stored(Dtype::kF32, {5000});
    write_safetensors(folder / "f", {{"w", &stored}});
    const TensorFile file = read_safetensors(folder / "f");
    FileHandle(folder / "f", O_WRONLY).write(std::string(8000, 'x'));
    CHECK(file.at("w").value(1000) == 0);
    FileHandle(folder / "f", O_WRONLY).truncate(0);  // a mapping would end in SIGBUS here
    double sum = 0;
    for (std::int64_t i = 0; i < file.at("w").size(); ++i) sum += file.at("w").value(i);
    CHECK(sum == 0);
}

TEST_CASE("safetensors: the metadata is read without the data, from a file that is checked as ever") {
    const ScratchFolder folder;
    const Tensor stored = floats({2}, {1, 2});
    write_safetensors(folder / "f", {{"w", &stored}}, {{"a", "b"}});
    CHECK(read_safetensors_metadata(folder / "f") == std::map<std::string, std::string>{{"a", "b"}});
    FileHandle(folder / "f", O_WRONLY).truncate(FileHandle::input(folder / "f").size_bytes() - 1);
    const std::string text = io_error_text([&] { (void)read_safetensors_metadata(folder / "f"); });
    CHECK(text.find("data_offsets") != std::string::npos);
    CHECK(text == io_error_text([&] { (void)read_safetensors(folder / "f"); }));
}

TEST_CASE("safetensors: a FIFO is refused and not waited for") {
    const ScratchFolder folder;
    REQUIRE(::mkfifo((folder / "fifo").c_str(), 0666) == 0);
    CHECK(io_error_text([&] { (void)read_safetensors(folder / "fifo"); }) ==
          (folder / "fifo").string() + ": is not a regular file; the file is damaged or is not safetensors");
}

TEST_CASE("safetensors: writing to a tensor that was read does not change the file") {
    const ScratchFolder folder;
    const Tensor stored = floats({1}, {1});
    write_safetensors(folder / "f", {{"w", &stored}});
    TensorFile file = read_safetensors(folder / "f");
    file.tensors.at("w").values<float>()[0] = 5;
    CHECK(read_safetensors(folder / "f").at("w").value(0) == 1);
}

TEST_CASE("safetensors: data that is not aligned to its type is copied to where it is") {
    const ScratchFolder folder;
    const std::string header = R"({"u":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                               R"("x":{"dtype":"F64","shape":[1],"data_offsets":[1,9]}})";
    const auto bits = std::bit_cast<std::array<char, 8>>(1.0 / 3);
    write_file_atomically(folder / "f", file_of(header, "\1" + std::string(bits.begin(), bits.end())));
    const TensorFile file = read_safetensors(folder / "f");
    CHECK(reinterpret_cast<std::uintptr_t>(file.at("x").data()) % alignof(double) == 0);
    CHECK(file.at("x").value(0) == 1.0 / 3);
    CHECK(file.at("u").value(0) == 1);
}

TEST_CASE("safetensors: an unknown tensor is reported with the file and the nearest name") {
    const ScratchFolder folder;
    const Tensor tensor = floats({1}, {0});
    write_safetensors(folder / "f", {{"out.weight", &tensor}, {"out.bias", &tensor}});
    CHECK(io_error_text([&] { (void)read_safetensors(folder / "f").at("out.wieght"); }) ==
          (folder / "f").string() +
              ": has no tensor 'out.wieght'; did you mean 'out.weight'? known: out.bias, out.weight");
}

TEST_CASE("safetensors: names and texts that the format cannot hold are refused, and nothing is written") {
    const ScratchFolder folder;
    const Tensor tensor = floats({1}, {0});
    CHECK(io_error_text([&] {
              write_safetensors(folder / "f", {{"__metadata__", &tensor}});
          }) == (folder / "f").string() +
                    ": a tensor is named '__metadata__'; expected another name, this one is reserved");
    CHECK(io_error_text([&] {
              write_safetensors(folder / "f", {{"\xff", &tensor}});
          }).find("is not UTF-8") != std::string::npos);
    CHECK(folder.file_names().empty());
}

TEST_CASE("safetensors: a file that cannot be opened or is none is an error that names it") {
    const ScratchFolder folder;
    CHECK(io_error_text([&] { (void)read_safetensors(folder / "none"); }) ==
          (folder / "none").string() +
              ": cannot open: No such file or directory; check the path and its permissions");
    CHECK(io_error_text([&] { (void)read_safetensors("/dev/null"); }) ==
          "/dev/null: is not a regular file; the file is damaged or is not safetensors");
}

TEST_CASE("safetensors: each kind of malformed file is refused with its reason") {
    struct Case {
        std::string bytes;
        std::string_view expected;
    };
    const auto tensor = [](const std::string& fields) {
        return file_of("{\"w\":{" + fields + "}}", "12345678");
    };
    const auto shape = [&](const std::string& text) {
        return tensor(R"("dtype":"F32","data_offsets":[0,8],"shape":)" + text);
    };
    const auto offsets = [&](const std::string& text) {
        return tensor(R"("dtype":"F32","shape":[2],"data_offsets":)" + text);
    };
    const auto two = [](const std::string& first, const std::string& second) {
        return file_of(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + first +
                           R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + second + "}}",
                       "12345678");
    };
    const std::string max_u64(8, '\xff');

    const Case cases[] = {
        // length
        {"", ": holds 0 bytes; expected at least 8, the header's length;"},
        {"1234567", ": holds 7 bytes; expected at least 8, the header's length;"},
        {max_u64 + "{}", ": header length is 18446744073709551615 bytes; expected at most 100000000;"},
        {"\x01\xe1\xf5\x05\0\0\0\0{}"s, ": header length is 100000001 bytes; expected at most 100000000;"},
        {"\3\0\0\0\0\0\0\0{}"s, ": header length is 3 bytes; expected at most 2, the rest of the file;"},
        // JSON
        {file_of(""), ": header is not a JSON object;"},
        {file_of("[]"), ": header is not a JSON object;"},
        {file_of(" {}"), ": header is not a JSON object;"},
        {file_of("{\"w\":"), ": header is not valid JSON ([json.exception.parse_error.101]"},
        {file_of("{} x"), ": header is not valid JSON ("},
        {file_of("{}\0\0"s), ": header is not valid JSON (it has a zero byte);"},
        {file_of("{\"\xff\":1}"), ": header is not valid JSON ("},
        {file_of(R"({"w":1e999})"), ": header is not valid JSON ("},
        {file_of(R"({"w":[[[]]]})"), ": header is nested too deep;"},
        {file_of(R"({"w":)" + std::string(1'000'000, '[')), ": header is nested too deep;"},
        {file_of(R"({"__metadata__":)" + std::string(1'000'000, '{')), ": header is not valid JSON ("},
        {file_of(R"({"w":1,"w":1})"), ": header has \"w\" twice; expected distinct keys;"},
        {tensor(R"("shape":[2],"dtype":"F32","data_offsets":[0,8],"shape":[2])"),
         ": header has \"shape\" twice;"},
        // metadata
        {file_of(R"({"__metadata__":[]})"), ": __metadata__ is not an object of strings;"},
        {file_of(R"({"__metadata__":{"k":1}})"), ": __metadata__ is not an object of strings;"},
        // fields
        {file_of(R"({"w":3})"), ": tensor 'w': is 3; expected an object;"},
        {tensor(R"("shape":[2],"data_offsets":[0,8])"), ": tensor 'w': has no dtype;"},
        {tensor(R"("dtype":"F32","data_offsets":[0,8])"), ": tensor 'w': has no shape;"},
        {tensor(R"("dtype":"F32","shape":[2])"), ": tensor 'w': has no data_offsets;"},
        {tensor(R"("dtype":1,"shape":[2],"data_offsets":[0,8])"),
         ": tensor 'w': dtype is 1; expected a string;"},
        {tensor(R"("dtype":"BF16","shape":[4],"data_offsets":[0,8])"),
         ": tensor 'w': dtype \"BF16\" is not supported; expected F32, F64, I32, I64 or U8"},
        // shape
        {shape("2"), ": tensor 'w': shape is 2; expected integers from 0 to 2^63 - 1;"},
        {shape("[2.0]"), ": tensor 'w': shape is [2.0]; expected integers"},
        {shape("[\"2\"]"), ": tensor 'w': shape is [\"2\"]; expected integers"},
        {shape("[-2,-1]"), ": tensor 'w': shape is [-2,-1]; expected integers"},
        {shape("[9223372036854775808]"), ": tensor 'w': shape is [9223372036854775808]; expected integers"},
        {shape("[99999999999999999999]"), ": tensor 'w': shape is [1e+20]; expected integers"},
        {shape("[4294967296,4294967296]"),
         ": tensor 'w': shape [4294967296, 4294967296]: too large; expected at most 2^59 elements;"},
        {shape("[0,4294967296,4294967296]"), ": too large; expected at most 2^59 elements;"},
        {shape("[3]"), ": tensor 'w': data_offsets span 8 bytes; expected 12 for float32 [3];"},
        {shape("[0]"), ": tensor 'w': data_offsets span 8 bytes; expected 0 for float32 [0];"},
        {shape("[]"), ": tensor 'w': data_offsets span 8 bytes; expected 4 for float32 [];"},
        // offsets
        {offsets("8"), ": tensor 'w': data_offsets is 8; expected two integers, begin and end;"},
        {offsets("[0]"), ": tensor 'w': data_offsets is [0]; expected two integers"},
        {offsets("[0,8,8]"), ": tensor 'w': data_offsets is [0,8,8]; expected two integers"},
        {offsets("[-8,0]"), ": tensor 'w': data_offsets is [-8,0]; expected two integers"},
        {offsets("[0,8.0]"), ": tensor 'w': data_offsets is [0,8.0]; expected two integers"},
        {offsets("[8,0]"), ": tensor 'w': data_offsets is [8,0]; expected begin <= end <= 8,"},
        {offsets("[1,9]"),
         ": tensor 'w': data_offsets is [1,9]; expected begin <= end <= 8, the bytes of data"},
        {offsets("[18446744073709551608,18446744073709551615]"), "; expected begin <= end <= 8,"},
        {two("[0,4]", "[3,7]"),
         ": tensor 'b': data begins at byte 3; expected 4, the end of the data before it "
         "(they overlap);"},
        {two("[0,4]", "[0,4]"),
         ": tensor 'b': data begins at byte 0; expected 4, the end of the data before it "
         "(they overlap);"},
        {file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                 R"("b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
                 "123"),
         ": tensor 'b': data begins at byte 2; expected 1, the end of the data before it (there is a hole);"},
        {file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", "12"),
         ": tensor 'a': data begins at byte 1; expected 0,"},
        {file_of("{}", "1"), ": tensors cover 0 bytes; expected 1, the bytes of data in the file;"},
    };
    const ScratchFolder folder;
    for (const Case& malformed : cases) {
        const std::string text = text_of_reading(folder / "f", malformed.bytes);
        CAPTURE(malformed.expected);
        CAPTURE(text);
        const std::string prefix = (folder / "f").string();
        CHECK(text.starts_with(prefix + ": "));
        CHECK(text.find(malformed.expected) != std::string::npos);
    }
}

TEST_CASE("safetensors: a header of so many tensors is read") {
#ifdef __SANITIZE_ADDRESS__
    constexpr int kTensors = 30'000;
#else
    constexpr int kTensors =
        300'000;  // not in the time of a test if, at the end of each, all before it are looked through
#endif
    std::string header = "{";
    for (int i = 0; i < kTensors; ++i) {
        header += (i == 0 ? "" : ",") + ("\"" + std::to_string(i)) +
                  R"(":{"dtype":"U8","shape":[1],"data_offsets":[)" + std::to_string(i) + "," +
                  std::to_string(i + 1) + "]}";
    }
    const ScratchFolder folder;
    write_file_atomically(folder / "f", file_of(header + "}", std::string(kTensors, '\7')));
    const TensorFile file = read_safetensors(folder / "f");
    CHECK(file.tensors.size() == kTensors);
    CHECK(file.tensors.at(std::to_string(kTensors - 1)).value(0) == 7);
}

TEST_CASE("safetensors: a file cut or changed anywhere is read or refused, without a fault") {
    const ScratchFolder folder;
    const Tensor a = floats({2, 2}, {1, 2, 3, 4});
    Tensor b(Dtype::kI64, {1});
    write_safetensors(folder / "f", {{"a", &a}, {"b", &b}}, {{"k", "v"}});
    const std::string good = read_file(folder / "f");

    for (std::size_t size = 0; size < good.size(); ++size) {
        CAPTURE(size);
        CHECK(text_of_reading(folder / "g", good.substr(0, size)) != "");
    }
    std::mt19937 random(7);
    for (int round = 0; round < 2000; ++round) {
        std::string changed = good;
        for (unsigned i = 0; i < 1 + round % 3U; ++i)
            changed[random() % changed.size()] = static_cast<char>(random());
        { std::ofstream(folder / "g", std::ios::binary) << changed; }
        const std::string text = io_error_text([&] {
            for (const auto& [name, tensor] : read_safetensors(folder / "g").tensors)
                if (tensor.size() > 0) (void)(tensor.value(0) + tensor.value(tensor.size() - 1));
        });
        CAPTURE(round);
        CHECK(text.find("not kIo") == std::string::npos);
    }
}

TEST_CASE("safetensors: a sealed file tells when a value, a shape, a name or a text has changed") {
    const ScratchFolder folder;
    const std::filesystem::path path = folder / "s.safetensors";
    Tensor x(Dtype::kF64, {2, 3}), y(Dtype::kI64, {1});
    y.values<std::int64_t>()[0] = 7;
    const TensorRefs tensors{{"x", &x}, {"y", &y}};
    const auto is_believed = [&](const TensorRefs& written, const std::map<std::string, std::string>& texts) {
        write_safetensors(path, written, texts);
        return is_sealed(read_safetensors(path));
    };
    const std::map<std::string, std::string> seal = sealed(tensors, {{"text", "a"}});
    CHECK(is_believed(tensors, seal));
    CHECK_FALSE(is_believed(tensors, {{"text", "a"}}));
    std::map<std::string, std::string> other = seal;
    other["text"] = "b";
    CHECK_FALSE(is_believed(tensors, other));
    CHECK_FALSE(is_believed({{"x", &x}}, seal));
    CHECK_FALSE(is_believed({{"x", &x}, {"z", &y}}, seal));
    const Tensor turned(Dtype::kF64, {3, 2});
    CHECK_FALSE(is_believed({{"x", &turned}, {"y", &y}}, seal));
    x.values<double>()[5] = 1e-300;
    CHECK_FALSE(is_believed(tensors, seal));
}
