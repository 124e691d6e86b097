// Runs a PHP of any version on this machine's files: node php.mjs 8.0 ARGUMENT...
import { loadNodeRuntime, useHostFilesystem } from '@php-wasm/node';
import { PHP } from '@php-wasm/universal';

const [version, ...args] = process.argv.slice(2);
const options = { emscriptenOptions: { processId: process.pid } };
const php = new PHP(await loadNodeRuntime(version, options));
useHostFilesystem(php);

// Nothing can be started from within; PHP itself would wait for it for ever.
const functions = 'exec,passthru,popen,proc_open,shell_exec,system';
const done = await php.cli(['php', '-d', `disable_functions=${functions}`, ...args]);

const copy = async (from, to) => {
    for await (const part of from) {
        to.write(part);
    }
};
await Promise.all([copy(done.stdout, process.stdout), copy(done.stderr, process.stderr)]);
process.exit(await done.exitCode);
