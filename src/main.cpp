#include "cli/command.h"

int main(int argc, char** argv) { return atelier::cli::run(argc, argv); }
