package redisreg

// SwapScript is the script, for the benchmark to run bare.
const SwapScript = swapScript
