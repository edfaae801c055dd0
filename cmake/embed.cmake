# cmake -DOUT=FILE.cpp -DNAMES=a;b -DFOLDER=DIR -P embed.cmake: writes a C++ file that holds files as bytes and finds
# them by name, for `std::string_view atelier::server::asset(std::string_view name)`.
set(arrays "")
set(cases "")
set(index 0)
foreach(name ${NAMES})
  file(READ ${FOLDER}/${name} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
  string(APPEND arrays "constexpr unsigned char kFile${index}[] = {\n${bytes}};\n")
  string(APPEND cases "  if (name == \"${name}\") return {reinterpret_cast<const char*>(kFile${index}), sizeof(kFile${index})};\n")
  math(EXPR index "${index} + 1")
endforeach()
file(WRITE ${OUT} "#include \"server/assets.h\"\n\nnamespace atelier::server {\nnamespace {\n${arrays}}  // namespace\n\n\
std::string_view asset(std::string_view name) {\n${cases}  return {};\n}\n\n}  // namespace atelier::server\n")
