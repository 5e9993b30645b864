// Words that may leave as they are, made from the bridge's catalogue by `make plugin`; all others may not.

// Cline's names of those who serve models.
export const PROVIDERS = new Set(
  (
    "302ai abacus abliteration-ai above agentrouter agnes ai-router ai21 aiand aihubmix ainetcafe aixy aki-io " +
    "alibaba alibaba-cn alibaba-coding-plan alibaba-coding-plan-cn alibaba-token-plan alibaba-token-plan-cn ambient " +
    "amd anthropic anyapi arcee asksage atomic-chat auriko azure azure-openai bailing baseten bedrock berget " +
    "blueclaw bothub cerebras chutes clarifai claude-code claudinio cline cline-pass cloudferro-sherlock " +
    "cloudflare-workers-ai coralbricks cortecs crof crossmodel crusoe daoxe databricks deepseek dify digitalocean " +
    "dinference doubao drun ebcloud echo edenai elevenlabs empiriolabs evroc fastrouter fireworks freemodel " +
    "friendli frogbot gemini gemini-cli github-copilot gmicloud greenpt groq helicone hetzner hicap hpc-ai " +
    "huawei-cloud-maas huggingface hyper iflowcn impossibl inception inceptron inco infer inference inferx " +
    "infomaniak io-net iteracompute jalapeno jiekou kenari kilo kimi-code-plan-cn kimi-code-plan-global " +
    "klokintegration kosmik kuae-cloud-coding-plan lilac litellm llama llmgateway llmgateway-providers llmtech " +
    "llmtr lmstudio longcat lucidquery lynkr meganova melious meta minimax minimax-cn minimax-cn-coding-plan " +
    "minimax-coding-plan mistral mixlayer moark modal model-oracle-ai modelis modelscope moonshot moonshotai-cn " +
    "morph nan nano-gpt nearai nebius neon neosmith neuralwatt nousResearch nova novita-ai nvidia oca oci ofox " +
    "ollama openai openai-codex openai-codex-cli openai-compatible openai-native opencode opencode-go openreason " +
    "openrouter opper orcarouter ovhcloud pendra perplexity perplexity-agent pioneer poe poolside privatemode-ai " +
    "qihang-ai qiniu-ai qwen qwen-code regolo-ai requesty routing-run runinfra sakana sambanova sapaicore sarvam " +
    "scaleway scnet-token-plan scx-ai sensenova siliconflow siliconflow-cn snowflake-cortex stackit stepfun " +
    "stepfun-ai stepfun-ai-step-plan stepfun-step-plan subconscious submodel synthetic tempr tencent-coding-plan " +
    "tencent-token-plan tencent-tokenhub tensorx the-grid-ai thinkingmachines tinfoil together tokengo tokenrouter " +
    "trustedrouter umans-ai umans-ai-coding-plan unorouter upstage v0 vancine vercel-ai-gateway vertex vispark " +
    "vivgrid volcengine volcengine-coding-plan vscode-lm vultr wafer.ai wallaby wandb xai xiaomi " +
    "xiaomi-token-plan-ams xiaomi-token-plan-cn xiaomi-token-plan-sgp xpersona zai zai-coding-plan zeldoc zenifra " +
    "zenmux zhipuai zhipuai-coding-plan "
  )
    .trim()
    .split(" "),
);

// Why a model stopped.
export const FINISH_REASONS = new Set(
  "aborted content-filter content_filter error length max-tokens other stop tool-calls tool_call unknown "
    .trim()
    .split(" "),
);

// Classes of errors.
export const ERROR_CLASSES = new Set(
  (
    "AI_APICallError AI_DownloadError AI_EmptyResponseBodyError AI_InvalidArgumentError AI_InvalidDataContentError " +
    "AI_InvalidMessageRoleError AI_InvalidPromptError AI_InvalidResponseDataError AI_InvalidStreamPartError " +
    "AI_InvalidToolApprovalError AI_InvalidToolApprovalSignatureError AI_InvalidToolInputError AI_JSONParseError " +
    "AI_LoadAPIKeyError AI_LoadSettingError AI_MessageConversionError AI_MissingToolResultsError " +
    "AI_NoContentGeneratedError AI_NoImageGeneratedError AI_NoObjectGeneratedError AI_NoOutputGeneratedError " +
    "AI_NoSpeechGeneratedError AI_NoSuchModelError AI_NoSuchProviderError AI_NoSuchProviderReferenceError " +
    "AI_NoSuchToolError AI_NoTranscriptGeneratedError AI_NoTranslationGeneratedError AI_NoVideoGeneratedError " +
    "AI_RetryError AI_SerializationError AI_TooManyEmbeddingValuesForCallError AI_ToolCallNotFoundForApprovalError " +
    "AI_ToolCallRepairError AI_TypeValidationError AI_UIMessageStreamError AI_UnsupportedFunctionalityError " +
    "AI_UnsupportedModelVersionError AbortError AgendaTaskRevisionConflictError AgentRuntimeAbortError " +
    "ClineFreeModelLimitError ClineNotSubscribedError ClineOAuthTokenError " +
    "ClineOrgIndividualInferenceSubscriptionError ClinePassLimitError CloudQueueUnconfirmedError CloudSessionError " +
    "CommandExitError ContextWindowOverflowError ControlledStopError DiffError Error HubCommandError " +
    "HubLockHeldError HubRunAdmissionRejectedError HubTransportError McpOAuthClientChangedError " +
    "McpSettingsLockTimeoutError McpSettingsMutatorPurityError McpSettingsUpdateSkippedError " +
    "OAuthReauthRequiredError OcaOAuthTokenError OpenAICodexOAuthTokenError RangeError SessionNotFoundError " +
    "SessionRunInProgressError SessionVersioningError SyntaxError TimeoutError TypeError ZodError aborted auth " +
    "billing cancelled command_failed content_filter context_window_exceeded denied invalid_input invalid_request " +
    "max_iterations mcp_error mistake_limit mistake_limit_reached network network_error not_found overloaded " +
    "parse_error permission_denied process_exited quota rate_limit rejected search_not_found server_error timeout " +
    "tool_error unknown_tool "
  )
    .trim()
    .split(" "),
);

// Cline's words for why it did something.
export const REASONS = new Set(
  (
    "agentic_summary api api_error auto auto_compaction auto_compaction_emergency basic_compaction_projection " +
    "buffer_stuck cli compaction_budget_emergency completion_without_submit configured_setting " +
    "context_overflow_recovery core default_setting desktop enterprise error file ide invalid_tool_call jetbrains " +
    "kanban local manual manual_compaction max_consecutive_mistakes max_tokens_compaction max_tokens_recovery " +
    "mistake_limit neovim no_result no_tools_used normal_provider_request over_budget overflow_recovery " +
    "protected_live_tail provider_error_retry result root shutdown sqlite started subagent submit_and_exit success " +
    "team_lead team_teammate thrown tool_execution_failed unknown unsafe_to_truncate vscode waiting_for_completion " +
    "web "
  )
    .trim()
    .split(" "),
);
